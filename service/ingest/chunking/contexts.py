"""What stands above a passage: the title and the headings that it is under, short enough to leave room for text."""

from collections.abc import Sequence
from typing import Final

from service.ingest.chunking.sections import ROOT, Section
from service.ingest.chunking.tokens import TokenCounter

LONGEST_PART: Final = 1_000
"""Characters of a title or heading that can matter; what is beyond is not even counted."""
BETWEEN: Final = " > "


class Contexts:
    """Of each section: the title, and on a second line the headings down to its own, at most `limit` tokens."""

    def __init__(self, title: str, tree: Sequence[Section], counter: TokenCounter, limit: int) -> None:
        self._title = " ".join(title[:LONGEST_PART].split())
        self._counter = counter
        self._limit = limit
        paths = _paths(self._title, tree)
        self.texts = [self._text(path) for path in paths]
        # With the line end that follows it in a passage.
        self.tokens = list(counter.count(f"{text}\n" for text in self.texts))
        for index, tokens in enumerate(self.tokens):
            if tokens > limit:
                self._shorten(index, paths[index])

    def _text(self, path: Sequence[str]) -> str:
        return "\n".join(part for part in (self._title, BETWEEN.join(path)) if part)

    def _shorten(self, index: int, path: Sequence[str]) -> None:
        """Keep what says most of the passage: the nearest heading, the title, then the headings between them."""
        text = self._text(path)
        while len(path) > 1 and self._count(text) > self._limit:
            path = path[1:]
            text = self._text(path)
        if path and self._count(text) > self._limit:
            heading = self._counter.cut(path[-1], self._limit // 2)
            title = self._counter.cut(self._title, self._limit - self._count(f"\n{heading}\n"))
            text = "\n".join(part for part in (title, heading) if part)
        while self._count(text) > self._limit:
            text = self._counter.cut(text, self._limit - 1)
        self.texts[index], self.tokens[index] = text, self._count(text)

    def _count(self, text: str) -> int:
        return next(self._counter.count([f"{text}\n"]))


def _paths(title: str, tree: Sequence[Section]) -> list[tuple[str, ...]]:
    """Return the headings down to each section; a first heading that repeats the title is left out."""
    paths: list[tuple[str, ...]] = []
    for index, section in enumerate(tree):
        above = paths[section.parent] if index != ROOT else ()
        is_new = index != ROOT and (above or section.title.casefold() != title.casefold())
        paths.append((*above, section.title) if is_new else above)
    return paths
