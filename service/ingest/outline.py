"""Where a text's sections begin and how they nest: headings of Markdown and of reStructuredText, by offset."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

LONGEST_HEADING: Final = 250
"""Characters of a line; longer lines are text."""
MOST_HEADINGS: Final = 200_000
"""In one text, which bounds memory; what comes after them is text of the last section."""
SHORTEST_ADORNMENT: Final = 3
ADORNMENTS: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
SETEXT_LEVELS: Final = {"=": 1, "-": 2}
ATX: Final = re.compile(r"(#{1,6})[ \t]+(.*)")
FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


class Heading(Struct, frozen=True, gc=False):
    """A heading: its text is `text[start:body]` with its adornments, and what it heads begins at `body`."""

    start: int
    body: int
    level: int
    """1 is the outermost."""
    title: str


class _Line(Struct, frozen=True, gc=False):
    """A line without its end; of a line too long for a heading only the beginning."""

    start: int
    end: int
    """Where the next line starts."""
    text: str
    adornment: str
    """The character that the whole line repeats, or nothing."""


class _Underlined(Struct, frozen=True, gc=False):
    heading: Heading
    adornment: str
    is_overlined: bool
    is_covered: bool
    """The adornment is as long as the title, as reStructuredText wants it."""
    is_fenced: bool


def headings(text: str) -> list[Heading]:
    """Return the headings in their order. Whether the text is Markdown or reStructuredText is seen from the text."""
    scan = _Scan()
    before, last = BLANK, BLANK
    for line in _lines(text):
        underlined = scan.read(before, last, line)
        before, last = (BLANK, BLANK) if underlined else (last, line)
        if scan.is_full:
            break
    return scan.markdown_headings() if scan.is_markdown else scan.restructured_headings()


class _Scan:
    """What one pass over the lines finds, before it is known which of the two languages it is."""

    def __init__(self) -> None:
        self._numbered: list[Heading] = []
        self._underlined: list[_Underlined] = []
        self._restructured_signs = 0
        self._fence = ""

    @property
    def is_full(self) -> bool:
        return max(len(self._numbered), len(self._underlined)) >= MOST_HEADINGS

    @property
    def is_markdown(self) -> bool:
        return len(self._numbered) > self._restructured_signs

    def read(self, before: _Line, last: _Line, line: _Line) -> bool:
        """Take a line, given the two before it; returns whether it ended an underlined heading."""
        underlined = _underlined(before, last, line, is_fenced=bool(self._fence)) if line.adornment else None
        if underlined:
            self._underlined.append(underlined)
            self._restructured_signs += underlined.adornment not in SETEXT_LEVELS
        elif self._fence:
            mark = line.text.strip()
            if mark.startswith(self._fence) and not mark.strip(self._fence[0]):
                self._fence = ""
        elif fence := FENCE.match(line.text):
            self._fence = fence[1]
        elif line.text.startswith("#") and len(line.text) <= LONGEST_HEADING:
            self._read_numbered(line)
        elif line.text.startswith(".. "):
            self._restructured_signs += 1
        return underlined is not None

    def _read_numbered(self, line: _Line) -> None:
        if (match := ATX.fullmatch(line.text)) and (title := match[2].rstrip("#").strip()):
            self._numbered.append(Heading(line.start, line.end, len(match[1]), title))

    def markdown_headings(self) -> list[Heading]:
        setext = [
            Heading(found.heading.start, found.heading.body, SETEXT_LEVELS[found.adornment], found.heading.title)
            for found in self._underlined
            if found.adornment in SETEXT_LEVELS and not found.is_overlined and not found.is_fenced
        ]
        return sorted([*self._numbered, *setext], key=lambda heading: heading.start)

    def restructured_headings(self) -> list[Heading]:
        """Give levels in the order in which adornments first appear, as reStructuredText does."""
        styles: dict[tuple[str, bool], int] = {}
        found = []
        for underlined in self._underlined:
            if underlined.is_covered:
                level = styles.setdefault((underlined.adornment, underlined.is_overlined), len(styles) + 1)
                heading = underlined.heading
                found.append(Heading(heading.start, heading.body, level, heading.title))
        return found


def _underlined(before: _Line, last: _Line, line: _Line, *, is_fenced: bool) -> _Underlined | None:
    title = last.text.strip()
    is_overlined = before.text == line.text and len(title) <= len(line.text) > SHORTEST_ADORNMENT
    is_title = title and not last.adornment and len(title) <= LONGEST_HEADING
    # A line in the middle of a paragraph, or an indented one, is no title: tables and quoted text look like that.
    if not is_title or not (is_overlined or (not before.text and not last.text[0].isspace())):
        return None
    is_covered = len(line.text) >= len(title)
    if not is_covered and line.adornment not in SETEXT_LEVELS:
        return None
    heading = Heading(before.start if is_overlined else last.start, line.end, 0, title)
    return _Underlined(heading, line.adornment, is_overlined, is_covered, is_fenced)


def _lines(text: str) -> Iterator[_Line]:
    # One at a time, and not by a regular expression over the whole: that would hold the interpreter lock throughout.
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        line = text[start : min(end, start + LONGEST_HEADING + 2)].rstrip()
        first = line[:1]
        repeats = first in ADORNMENTS and len(line) >= SHORTEST_ADORNMENT and line.count(first) == len(line)
        yield _Line(start, end, line, first if repeats else "")
        start = end


BLANK: Final = _Line(0, 0, "", "")
