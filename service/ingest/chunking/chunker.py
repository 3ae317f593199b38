"""The chunker: sections, packed into passages, each with the title and headings above it."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from tokenizers import Tokenizer

from service.ingest.chunking.contexts import Contexts
from service.ingest.chunking.packing import group_sections, pack
from service.ingest.chunking.pieces import Pieces, Span
from service.ingest.chunking.sections import Section, sections
from service.ingest.chunking.tokens import TokenCounter

CHUNKER: Final = "sections-1"
"""Name and number: part of the content hash, raised with every change that changes passages."""
SMALLEST_WINDOW: Final = 32


class Chunk(Struct, frozen=True):
    """A passage to be: a verbatim slice of the source, and the title and headings above it."""

    text: str
    context: str

    @property
    def content(self) -> str:
        """What is embedded."""
        return f"{self.context}\n{self.text}" if self.context else self.text


class Chunker:
    """Splits documents for one model, in time proportional to their text: call it in a thread.

    `window` is what the model reads, in tokens with the special ones, less what a prefix takes.
    """

    def __init__(self, tokenizer: Tokenizer, window: int) -> None:
        if window < SMALLEST_WINDOW:
            raise ValueError(f"a window of {window} tokens is too small for a passage with its headings")
        self._counter = TokenCounter(tokenizer)
        self._room = window - tokenizer.num_special_tokens_to_add(is_pair=False)
        self._longest_context = window // 4
        self._pieces = Pieces(tokenizer, whole=self._room // 2, part=self._room // 4)

    def split(self, title: str, text: str) -> list[Chunk]:
        """Return the passages in their order; together they hold all of the text but space around them.

        Context, a line end and text of each are within the window. Nothing overlaps.
        """
        tree = sections(text)
        contexts = Contexts(title, tree, self._counter, self._longest_context)
        chunks = [
            Chunk(passage, contexts.texts[above])
            for above, (start, end) in self._spans(text, tree, contexts)
            if (passage := _trimmed(text, start, end))
        ]
        return list(self._fitting(chunks))

    def _spans(self, text: str, tree: list[Section], contexts: Contexts) -> Iterator[tuple[int, Span]]:
        """Give for each passage its span, and the section whose heading is the last one above it."""
        paragraphs = self._pieces.paragraphs(text, tree)
        costs = [sum(piece.cost for piece in pieces) for pieces in paragraphs]

        def above(index: int) -> int:
            return tree[tree[index].lead].parent

        def capacity(index: int) -> int:
            return self._room - contexts.tokens[above(index)]

        for group in group_sections(tree, costs, capacity):
            first, most = group.first, capacity(group.first)
            if group.cost <= most:
                yield above(first), (tree[first].start, tree[group.last].end)
                continue
            pieces = self._pieces.cut(text, paragraphs[first], tree[first].body)
            runs = pack([piece.cost for piece in pieces], min(most, self._room - contexts.tokens[first]))
            for start, end in runs:
                yield first if start else above(first), (pieces[start].start, pieces[end - 1].end)

    def _fitting(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Halve what is too long after all: for some tokenizers the whole has more tokens than its parts."""
        chunks = list(chunks)
        for chunk, tokens in zip(chunks, self._counter.count(chunk.content for chunk in chunks), strict=True):
            if tokens <= self._room or len(chunk.text) == 1:
                yield chunk
            else:
                yield from self._fitting(Chunk(half, chunk.context) for half in _halves(chunk.text))


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    cut = text.rfind(" ", 1, middle) + 1 or middle
    return [half for half in (text[:cut].rstrip(), text[cut:].lstrip()) if half]


def _trimmed(text: str, start: int, end: int) -> str:
    """Return the span without space around it, but with the indentation of its first line."""
    passage = text[start:end].rstrip()
    begin = start + len(passage) - len(passage.lstrip())
    line_start = text.rfind("\n", max(0, start - 1), begin) + 1
    return text[max(start, line_start) if line_start or start == 0 else begin : start + len(passage)]
