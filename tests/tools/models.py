"""Other models than the built-in one, made of it: compiled folders that need no torch."""

import hashlib
from pathlib import Path

from service.embedders.builtin import CARD, read_builtin
from service.embedders.compiled import MODEL, MODELS, TOKENIZER, CompiledCard, write_card


def compile_prefixed(data_dir: Path, name: str, prefix: str = "passage: ") -> None:
    """Put a model into a data directory that means about the same, with other vectors."""
    _write(data_dir / MODELS / name, name, passage_prefix=prefix)


def compile_deaf(data_dir: Path, name: str) -> None:
    """Put a model into a data directory that hears no question: its query prefix is all that it reads."""
    _write(data_dir / MODELS / name, name, query_prefix="of other things entirely, as ever, " * 60)


def _write(folder: Path, name: str, query_prefix: str = "", passage_prefix: str = "") -> None:
    built_in = read_builtin()
    weights, tokenizer = built_in.weights, built_in.tokenizer.to_str()
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(weights)
    (folder / TOKENIZER).write_text(tokenizer)
    card = CompiledCard(
        name=name,
        dimensions=CARD.dimensions,
        window=CARD.window,
        pooling="mean",
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
        padding_id=0,
        model_sha256=hashlib.sha256(weights).hexdigest(),
        tokenizer_sha256=hashlib.sha256(tokenizer.encode()).hexdigest(),
        cosine_minimum=1,
        cosine_mean=1,
    )
    write_card(folder, card)
