"""Counting tokens and cutting to a number of them, for chunking: bounded memory, never holding the interpreter lock."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final

from tokenizers import Tokenizer

LONGEST_BATCH: Final = 200_000
"""Characters tokenised at once: a token takes about a hundred bytes."""
LONGEST_COUNTED: Final = 200_000
"""Characters of one span: more than any model's window times the following."""
CHARACTERS_PER_TOKEN: Final = 16
"""A word of any length may be one unknown token, which says nothing of what it holds; so no passage has more."""


class TokenCounter:
    """Counts with the model's own tokenizer, without special tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def count(self, texts: Iterable[str]) -> Iterator[int]:
        """Count the tokens of each text, in order."""
        batch: list[str] = []
        size = 0
        for text in texts:
            if batch and size + len(text) > LONGEST_BATCH:
                yield from self._count(batch)
                batch, size = [], 0
            batch.append(text)
            size += len(text)
        yield from self._count(batch)

    def costs(self, text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Return what spans of a text take of a passage: their tokens, or more where they have many characters.

        Of a span that is far too long for any passage only this is said: it is not tokenised.
        """
        counts = self.count(text[start:end] if end - start < LONGEST_COUNTED else "" for start, end in spans)
        return [
            max(count, ceil((end - start) / CHARACTERS_PER_TOKEN))
            for (start, end), count in zip(spans, counts, strict=True)
        ]

    def cut(self, text: str, limit: int) -> str:
        """Return the beginning of a text, at most `limit` tokens of it."""
        # `encode` would hold the interpreter lock; the batch call does not.
        (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=False)
        cut = text[: encoding.offsets[limit - 1][1]].rstrip() if len(encoding) > limit else text
        while next(self.count([cut])) > limit:
            cut = cut[: len(cut) // 2]
        return cut

    def _count(self, texts: Sequence[str]) -> Iterator[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return (len(encoding) for encoding in encodings)
