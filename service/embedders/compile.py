"""Turns a sentence-transformers model into a folder for onnxruntime: int8, checked against the original, no torch."""

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from service.embedders.compiled import MODEL, TOKENIZER, CompiledCard, write_card
from service.embedders.onnx import load_onnx_model, quantise
from service.embedders.sentence_transformers import (
    SentenceTransformerModel,
    import_extra,
    load_sentence_transformer,
    pooling_of,
)
from service.errors import ModelUnavailable

MINIMUM_MEAN_COSINE = 0.99
PARITY_TEXTS = Path(__file__).parent / "parity.txt"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
EXAMPLES = ["Two texts of different length show the exporter what varies.", "A short one."]


class Parity(Struct, frozen=True):
    """How close the compiled vectors are to the original's: cosine similarities over varied texts."""

    texts: int
    minimum: float
    mean: float


def compile_model(
    name_or_path: str, output: Path, query_prefix: str | None = None, passage_prefix: str | None = None
) -> Parity:
    """Write the folder `output`, which must not exist or be empty; half a minute for a small model.

    Raises ModelUnavailable, and leaves nothing behind, where the model cannot be loaded or exported, or where the mean
    cosine similarity to the original falls under 0.99.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ModelUnavailable(f"{output} exists already and is not an empty folder.")
    for library in ("onnx", "onnxscript"):
        import_extra(library)
    original = load_sentence_transformer(name_or_path, query_prefix, passage_prefix)
    pooling = _pooling(original)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".compile-", dir=output.parent) as workshop, _quiet():
        folder = Path(workshop) / "model"
        folder.mkdir()
        exported = Path(workshop) / "exported.onnx"
        _export(original, exported)
        quantise(exported, folder / MODEL, excluded=_narrowing(exported))
        card = _describe(folder, original, pooling)
        parity = _compare(original, folder)
        _check(parity, name_or_path)
        write_card(folder, msgspec.structs.replace(card, cosine_minimum=parity.minimum, cosine_mean=parity.mean))
        folder.replace(output)
    return parity


def _pooling(original: SentenceTransformerModel) -> Literal["mean", "cls"]:
    pooling = pooling_of(original.transformer)
    if pooling == "mean":
        return "mean"
    if pooling == "cls":
        return "cls"
    raise ModelUnavailable(
        f"{original.card.name} is not a transformer with mean or cls pooling ({pooling or 'modules of its own'}), "
        "and nothing else can be compiled. Use it with the runtime sentence-transformers."
    )


def _export(original: SentenceTransformerModel, target: Path) -> None:
    """Write the transformer as an ONNX graph whose first output has shape (texts, tokens, dimensions)."""
    torch = import_extra("torch")
    features = original.transformer.preprocess(EXAMPLES)
    inputs = {name: features[name].cpu() for name in INPUTS if name in features}
    varying = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        torch.onnx.export(
            original.transformer[0].auto_model.cpu().float().eval(),
            kwargs=inputs,
            f=str(target),
            input_names=list(inputs),
            dynamic_shapes=dict.fromkeys(inputs, varying),
            external_data=False,
            verbose=False,
        )
    except Exception as error:
        raise ModelUnavailable(f"torch cannot export {original.card.name}: {error}") from error


def _narrowing(exported: Path) -> list[str]:
    """Name the multiplications from a wider to a narrower layer.

    Their inputs spread too far for one scale: left in float, MiniLM's mean cosine rises from 0.990 to 0.995, for a
    millisecond a query.
    """
    graph = import_extra("onnx").load(exported).graph
    shapes = {weights.name: list(weights.dims) for weights in graph.initializer}
    multiplications = [(node.name, shapes.get(node.input[1])) for node in graph.node if node.op_type == "MatMul"]
    return [name for name, shape in multiplications if shape and shape[0] > shape[-1]]


def _describe(folder: Path, original: SentenceTransformerModel, pooling: Literal["mean", "cls"]) -> CompiledCard:
    (folder / TOKENIZER).write_text(original.tokenizer.to_str(), encoding="utf-8")
    card = CompiledCard(
        name=original.card.name,
        dimensions=original.card.dimensions,
        window=original.card.window,
        pooling=pooling,
        query_prefix=original.card.query_prefix,
        passage_prefix=original.card.passage_prefix,
        padding_id=original.transformer.tokenizer.pad_token_id or 0,
        model_sha256=hashlib.sha256((folder / MODEL).read_bytes()).hexdigest(),
        tokenizer_sha256=hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest(),
        cosine_minimum=0.0,
        cosine_mean=0.0,
    )
    write_card(folder, card)
    return card


def _compare(original: SentenceTransformerModel, folder: Path) -> Parity:
    texts = PARITY_TEXTS.read_text(encoding="utf-8").splitlines()
    compiled = load_onnx_model(str(folder))
    cosines = np.sum(original.encode(texts) * compiled.encode(texts), axis=1)
    return Parity(len(texts), float(cosines.min()), float(cosines.mean()))


def _check(parity: Parity, name: str) -> None:
    if parity.mean >= MINIMUM_MEAN_COSINE:
        return
    raise ModelUnavailable(
        f"{name} loses too much in int8: over {parity.texts} texts its vectors have a mean cosine similarity of "
        f"{parity.mean:.4f} to the original's (lowest {parity.minimum:.4f}), and {MINIMUM_MEAN_COSINE} is the least "
        "that is taken. Use it with the runtime sentence-transformers."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what exporter and quantiser say of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
