"""A long section to pieces small enough to be packed into passages: paragraphs, and parts of long paragraphs."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct
from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

from service.ingest.chunking.sections import Section
from service.ingest.chunking.tokens import CHARACTERS_PER_TOKEN, TokenCounter

LONGEST_STRETCH: Final = 4_000
"""Characters given to the splitter at once, whose time grows faster than its text."""
SHORTEST_PARAGRAPH: Final = 120
"""Characters; a shorter one stays with what follows, as the line before an example does."""
PARAGRAPH_END: Final = re.compile(r"\n[ \t\r]*\n")

Span = tuple[int, int]
"""Offsets in characters, from and to."""


class Piece(Struct, frozen=True, gc=False):
    """A part of a section that is never cut further, and what it takes of a passage, in tokens."""

    start: int
    end: int
    cost: int


class Pieces:
    """Cuts sections; a paragraph of at most `whole` tokens stays whole, of a longer one pieces have at most `part`."""

    def __init__(self, tokenizer: Tokenizer, whole: int, part: int) -> None:
        self._counter = TokenCounter(tokenizer)
        self._whole = whole
        self._longest_part = part * CHARACTERS_PER_TOKEN
        self._splitter = TextSplitter.from_huggingface_tokenizer(tokenizer, part)

    def paragraphs(self, text: str, tree: Sequence[Section]) -> list[list[Piece]]:
        """Return the paragraphs of each section; its heading is in the first."""
        spans = [list(_paragraphs(text, section)) for section in tree]
        pieces = iter(self._pieces(text, [span for of_section in spans for span in of_section]))
        return [list(islice(pieces, len(of_section))) for of_section in spans]

    def cut(self, text: str, paragraphs: Sequence[Piece], body: int) -> list[Piece]:
        """Return the paragraphs of a section with the long ones in parts; none of them ends before `body`."""
        pieces: list[Piece] = []
        for paragraph in paragraphs:
            if paragraph.cost <= self._whole:
                pieces.append(paragraph)
                continue
            stretches = _stretches(text, max(paragraph.start, body), paragraph.end)
            (_, first), *later = [part for stretch in stretches for part in self._parts(text, *stretch)]
            # What stands before the body is the heading: it goes with the first part.
            pieces.extend(self._pieces(text, [(paragraph.start, first), *later]))
        return pieces

    def _pieces(self, text: str, spans: Sequence[Span]) -> list[Piece]:
        costs = self._counter.costs(text, spans)
        return [Piece(start, end, cost) for (start, end), cost in zip(spans, costs, strict=True)]

    def _parts(self, text: str, start: int, end: int) -> Iterator[Span]:
        starts = [start + offset for offset, _ in self._splitter.chunk_indices(text[start:end])][1:]
        for part_start, part_end in zip([start, *starts], [*starts, end], strict=True):
            for offset in range(part_start, part_end, self._longest_part):
                yield offset, min(part_end, offset + self._longest_part)


def _paragraphs(text: str, section: Section) -> Iterator[Span]:
    start, body = section.start, section.body
    for found in PARAGRAPH_END.finditer(text, section.body, section.end):
        if found.end() - body >= SHORTEST_PARAGRAPH:
            yield start, found.end()
            start = body = found.end()
    if start < section.end:
        yield start, section.end


def _stretches(text: str, start: int, end: int) -> Iterator[Span]:
    """Cut at the last line end, else the last space, before LONGEST_STRETCH; where there is neither, in the middle."""
    while end - start > LONGEST_STRETCH:
        limit = start + LONGEST_STRETCH
        cut = text.rfind("\n", start, limit) + 1 or text.rfind(" ", start, limit) + 1 or limit
        yield start, cut
        start = cut
    if start < end:
        yield start, end
