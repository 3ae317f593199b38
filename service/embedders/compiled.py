"""The folder that `retrieval model compile` writes: its card, and reading it back with every file checked."""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from tokenizers import Tokenizer

from service.embedders.base import ModelCard
from service.embedders.files import ModelFiles, read_verified
from service.errors import ModelUnavailable

CARD = "card.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
MODELS = "models"
"""The folder of the data directory in which compiled models are looked for."""


class CompiledCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of card.json."""

    format: Literal[1] = 1
    name: str
    dimensions: int
    window: int
    pooling: Literal["mean", "cls"]
    query_prefix: str
    passage_prefix: str
    padding_id: int
    model_sha256: str
    tokenizer_sha256: str
    cosine_minimum: float
    """Of the parity check with the original model, when it was compiled."""
    cosine_mean: float

    def model_card(self) -> ModelCard:
        """Return what identifies the model; the revision covers weights and tokenizer."""
        files = f"{self.model_sha256}{self.tokenizer_sha256}".encode()
        return ModelCard(
            name=self.name,
            revision=hashlib.sha256(files).hexdigest()[:16],
            dimensions=self.dimensions,
            window=self.window,
            pooling=self.pooling,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
        )


def read_compiled(folder: Path) -> ModelFiles:
    """Read and verify a compiled folder; raises ModelUnavailable."""
    card = read_card(folder)
    weights = read_verified(folder / MODEL, card.model_sha256)
    text = read_verified(folder / TOKENIZER, card.tokenizer_sha256).decode()
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return ModelFiles(
        card=card.model_card(),
        weights=weights,
        tokenizer=tokenizer,
        padding_id=card.padding_id,
        has_dynamic_scales=True,
    )


def read_card(folder: Path) -> CompiledCard:
    """Read a compiled folder's card, nothing else; raises ModelUnavailable."""
    path = folder / CARD
    try:
        return msgspec.json.decode(path.read_bytes(), type=CompiledCard)
    except OSError as error:
        message = f"{folder} is not a model that `retrieval model compile` wrote: {path.name}: {error.strerror}."
    except msgspec.DecodeError as error:
        message = f"{path} cannot be read: {error}."
    raise ModelUnavailable(message)


def write_card(folder: Path, card: CompiledCard) -> None:
    """Write a compiled folder's card."""
    (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)) + b"\n")


def compiled_folders(directory: Path) -> list[Path]:
    """Return the compiled folders in a directory, by name; none where there is no such directory."""
    return sorted(path.parent for path in directory.glob(f"*/{CARD}"))
