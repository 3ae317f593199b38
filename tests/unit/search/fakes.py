"""What the tests of searching search with."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from service.embedders.base import ModelCard, Purpose, Vectors
from service.embedders.builtin import read_builtin
from service.errors import ModelUnavailable

CARD = ModelCard(name="fake", revision="1", dimensions=2, window=64)


class Fixed:
    """An embedder that gives every text the same vector, or fails."""

    card = CARD

    def __init__(self, dimensions: int = 2, *, fails: bool = False) -> None:
        self.tokenizer: Tokenizer = read_builtin().tokenizer
        self._dimensions = dimensions
        self._fails = fails

    async def embed(self, texts: Sequence[str], _: Purpose, __: str | None = None) -> Vectors:
        if self._fails:
            raise ModelUnavailable("the model is out")
        return np.tile(np.eye(1, self._dimensions, dtype=np.float32), (len(texts), 1))

    def is_truncated(self, *_: object) -> bool:
        return False
