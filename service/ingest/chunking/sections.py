"""A text as a tree of sections, none of which is a heading alone."""

from typing import Final

from msgspec import Struct

from service.ingest.outline import Heading, headings

ROOT: Final = 0
"""The first section: the text before the first heading, and the parent of the outermost sections."""
LONGEST_LEAD: Final = 400
"""Characters of headings without text that are carried to the section after them."""


class Section(Struct, gc=False):
    """What stands under one heading before the next: `text[start:end]`, which begins with the heading.

    A section without text of its own is empty (start == end): its heading stands before the text of the next section,
    whose `lead` it is.
    """

    start: int
    body: int
    """Where the text after the heading, or headings, begins."""
    end: int
    level: int
    title: str
    parent: int
    lead: int
    """The section whose heading the text begins with."""
    after: int = 0
    """The first section that is not within this one."""

    @property
    def is_empty(self) -> bool:
        """Whether its heading was carried to the next section."""
        return self.start == self.end


def sections(text: str) -> list[Section]:
    """Return the sections in their order; parents, leads and `after` are indexes into the list. Never empty."""
    found = headings(text)
    first = found[0].start if found else len(text)
    tree = [Section(0, 0, first, 0, "", ROOT, ROOT)]
    _append_headings(tree, found, len(text))
    _carry_lone_headings(tree, text)
    _close(tree)
    return tree


def _append_headings(tree: list[Section], found: list[Heading], length: int) -> None:
    open_sections = [ROOT]
    for number, heading in enumerate(found, start=1):
        end = found[number].start if number < len(found) else length
        while tree[open_sections[-1]].level >= heading.level:
            open_sections.pop()
        tree.append(Section(heading.start, heading.body, end, heading.level, heading.title, open_sections[-1], number))
        open_sections.append(number)


def _carry_lone_headings(tree: list[Section], text: str) -> None:
    carried: tuple[int, int] | None = None
    last_full = tree[-1]
    for section in tree:
        if carried:
            section.start, section.lead = carried
        is_alone = not text[section.body : section.end].strip()
        if is_alone and section.end - section.start <= LONGEST_LEAD:
            carried = section.start, section.lead
            section.start = section.body = section.end
            continue
        if is_alone:
            section.body = section.start
        last_full, carried = section, None
    if carried:
        # Headings at the end belong to the text before them; where there is none, they are the text.
        if last_full.is_empty:
            last_full.start, last_full.lead = carried
            last_full.body = last_full.start
        last_full.end = len(text)


def _close(tree: list[Section]) -> None:
    """Fill in `after`, from the end, so that each section's following sibling is known."""
    following: list[int] = []
    for index in range(len(tree) - 1, -1, -1):
        while following and tree[following[-1]].level > tree[index].level:
            following.pop()
        tree[index].after = following[-1] if following else len(tree)
        following.append(index)
