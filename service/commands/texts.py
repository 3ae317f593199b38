"""Texts of documents on a terminal: on one line, without what a terminal would obey."""


def printable(text: str) -> str:
    """Return the text on one line, without control characters: a document must not move the cursor."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def snippet(text: str, length: int) -> str:
    """Return the beginning of a text, cut at a word where that is near."""
    line = printable(text)
    if len(line) <= length:
        return line
    return f"{line[: length - 1].rsplit(' ', 1)[0]}…"
