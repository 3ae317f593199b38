"""The files of a model, read once and checked against their hashes before anything uses them."""

import hashlib
from pathlib import Path

from msgspec import Struct
from tokenizers import Tokenizer

from service.embedders.base import ModelCard
from service.errors import ModelUnavailable


class ModelFiles(Struct, frozen=True, kw_only=True):
    """Everything that the ONNX runtime needs of one model, verified."""

    card: ModelCard
    weights: bytes
    """An ONNX graph from token ids to one vector a token."""
    tokenizer: Tokenizer
    """Without truncation and padding."""
    padding_id: int = 0
    has_dynamic_scales: bool = False
    """Activations are quantised with one scale a run, so a text's vector would depend on its neighbours in a batch."""


def read_verified(path: Path, sha256: str) -> bytes:
    """Read a file that must have this hash; raises ModelUnavailable."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"The model's file {path} cannot be read: {error.strerror}.") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelUnavailable(f"{path} is damaged or another file: its sha256 is {found}, not {sha256}.")
    return content
