"""What every model needs of a text before its tokenizer reads it."""


def well_formed(text: str) -> str:
    """Return the text with lone surrogates, which no tokenizer takes, replaced by question marks."""
    if text.isascii():
        return text
    return text.encode("utf-8", errors="replace").decode("utf-8")
