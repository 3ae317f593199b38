"""The ports to embedding: a loaded model that computes, and the embedder that requests wait on."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from tokenizers import Tokenizer

Purpose = Literal["query", "passage"]
Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), each row of length 1."""


class ModelCard(Struct, frozen=True, kw_only=True, dict=True):
    """What identifies an embedding model exactly, and what it takes."""

    name: str
    revision: str
    """Changes whenever the vectors do: a hash over the weights."""
    dimensions: int
    window: int
    """Tokens that the model reads, special tokens included; what is longer is cut."""
    pooling: str = "mean"
    normalised: bool = True
    query_prefix: str = ""
    passage_prefix: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Equal exactly where vectors are comparable."""
        parts = (self.name, self.revision, self.dimensions, self.window, self.pooling, self.normalised)
        return ":".join(str(part) for part in (*parts, self.query_prefix, self.passage_prefix))


class Model(Protocol):
    """One loaded embedding model. Its calls block and may come from several threads at once."""

    card: ModelCard
    tokenizer: Tokenizer
    """The model's own, without truncation and padding: chunking counts with it. Texts are tokenised with it once more
    inside `encode`."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts that already carry their prefix; longer ones than the window are cut."""
        ...


class Embedder(Protocol):
    """What the flows use: never blocks the event loop, lets queries pass imports."""

    card: ModelCard
    tokenizer: Tokenizer

    async def embed(self, texts: Sequence[str], purpose: Purpose, tenant: str | None = None) -> Vectors:
        """Embed texts; prefixes of the purpose are added here.

        `tenant` is whose texts they are: caches keep tenants apart, and keep nothing of nobody's (None).
        """
        ...

    def is_truncated(self, text: str, purpose: Purpose) -> bool:
        """Whether the model reads only the beginning of the text."""
        ...


class Embedders(Protocol):
    """The embedders of all models that collections name."""

    async def of(self, model: str) -> Embedder:
        """Return the embedder of a model by name, "" for that of the settings; raises ModelUnavailable.

        Cheap but for the first time, when the model is loaded.
        """
        ...
