"""Any sentence-transformers model by name or path, on torch: for models that are not compiled. Needs the extra."""

import hashlib
import importlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from service.embedders.base import ModelCard, Vectors
from service.embedders.texts import well_formed
from service.errors import ModelUnavailable

INSTALL = "pip install 'retrieval-service[sentence-transformers]'"
PASSAGE_PROMPTS = ("passage", "document")


class SentenceTransformerModel:
    """A SentenceTransformer that several threads may call at once."""

    def __init__(self, transformer: Any, card: ModelCard, tokenizer: Tokenizer) -> None:
        self.card = card
        self.tokenizer = tokenizer
        self.transformer = transformer
        # The library's tokenizer is changed by its calls (padding, truncation): two at once raise "Already borrowed".
        self._tokenizing = threading.Lock()
        self._torch = import_extra("torch")

    def encode(self, texts: Sequence[str]) -> Vectors:
        with self._tokenizing:
            features = self.transformer.preprocess([well_formed(text) for text in texts])
        device = self.transformer.device
        features = {name: value.to(device) if hasattr(value, "to") else value for name, value in features.items()}
        with self._torch.inference_mode():
            embedded = self.transformer(features)["sentence_embedding"]
            vectors: Vectors = self._torch.nn.functional.normalize(embedded.float(), dim=1).cpu().numpy()
        return vectors


def load_sentence_transformer(
    name_or_path: str, query_prefix: str | None = None, passage_prefix: str | None = None
) -> SentenceTransformerModel:
    """Load a model and run it once; prefixes replace the prompts of the model's own configuration.

    Raises ModelUnavailable where the extra is not installed, or the model cannot be had or used.
    """
    library, torch = import_extra("sentence_transformers"), import_extra("torch")
    import_extra("transformers").utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the embedder runs a thread a core already
    try:
        transformer = library.SentenceTransformer(name_or_path).eval()
    except Exception as error:
        raise ModelUnavailable(f"sentence-transformers cannot load {name_or_path!r}: {error}") from error
    tokenizer = _tokenizer(transformer, name_or_path)
    prompts = transformer.prompts or {}
    card = ModelCard(
        name=Path(name_or_path).name if Path(name_or_path).is_dir() else name_or_path,
        revision=_revision(transformer, tokenizer),
        dimensions=0,
        window=_window(transformer, name_or_path),
        pooling=pooling_of(transformer) or "own",
        query_prefix=_first(prompts, "query") if query_prefix is None else query_prefix,
        passage_prefix=_first(prompts, *PASSAGE_PROMPTS) if passage_prefix is None else passage_prefix,
    )
    model = SentenceTransformerModel(transformer, card, tokenizer)
    model.card = msgspec.structs.replace(card, dimensions=_dimensions(model))
    return model


def pooling_of(transformer: Any) -> str:
    """Return how a plain model (a transformer, one pooling, perhaps normalisation) pools; "" of any other."""
    kinds = [type(module).__name__ for module in transformer]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return ""
    return str(transformer[1].pooling_mode)


def import_extra(name: str) -> Any:
    """Import a library of the extra; raises ModelUnavailable saying how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelUnavailable(f"This needs the extra sentence-transformers: {INSTALL} ({error}).") from None


def _tokenizer(transformer: Any, name: str) -> Tokenizer:
    backend = getattr(transformer.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelUnavailable(f"{name!r} has no tokenizer of the tokenizers library, which chunking counts with.")
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _window(transformer: Any, name: str) -> int:
    window = transformer.max_seq_length
    if not isinstance(window, int):
        raise ModelUnavailable(f"{name!r} does not say how many tokens it reads (max_seq_length).")
    return window


def _dimensions(model: SentenceTransformerModel) -> int:
    vectors = model.encode(["ready"])
    if not np.isfinite(vectors).all():
        raise ModelUnavailable(f"The model {model.card.name!r} gives vectors that are not finite.")
    return int(vectors.shape[1])


def _revision(transformer: Any, tokenizer: Tokenizer) -> str:
    """Hash what the vectors depend on: the weights, the modules and the tokenizer."""
    torch = import_extra("torch")
    digest = hashlib.sha256(" ".join(type(module).__name__ for module in transformer).encode())
    digest.update(tokenizer.to_str().encode())
    for name, tensor in sorted(transformer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _first(prompts: Mapping[str, str], *names: str) -> str:
    """Return the first prompt among these names that is not empty."""
    return next((prompts[name] for name in names if prompts.get(name)), "")
