"""PDF files to text."""

import io
import logging
from time import monotonic
from typing import Final

from pypdf import PdfReader
from pypdf.errors import DependencyError

from service.errors import InvalidDocument
from service.ingest.decoding import LONGEST_TEXT
from service.models import UNSTORABLE

MOST_PAGES: Final = 5_000
LONGEST_READING_SECONDS: Final = 60.0
"""Looked at after each page."""


def pdf_to_text(data: bytes) -> str:
    """Return the pages' text, a blank line between pages; raises InvalidDocument, and what pypdf raises of rubbish."""
    # What pypdf finds wrong with a file and mends is nothing that our users could act on.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not _is_open(reader):
        raise InvalidDocument("the PDF is encrypted; import it without its password")
    if len(reader.pages) > MOST_PAGES:
        raise InvalidDocument(f"the PDF has {len(reader.pages):,} pages; the limit is {MOST_PAGES:,}")
    text = UNSTORABLE.sub("", "\n\n".join(_pages(reader)))
    if not text.strip():
        raise InvalidDocument("the PDF holds no text; scanned pages need text recognition first")
    return text


def _pages(reader: PdfReader) -> list[str]:
    deadline = monotonic() + LONGEST_READING_SECONDS
    pages: list[str] = []
    size = 0
    for page in reader.pages:
        pages.append(page.extract_text().strip())
        size += len(pages[-1])
        if size > LONGEST_TEXT:
            raise InvalidDocument(f"the PDF holds more than {LONGEST_TEXT:,} characters of text")
        if monotonic() > deadline:
            raise InvalidDocument(f"the PDF takes more than {LONGEST_READING_SECONDS:.0f} s to read")
    return pages


def _is_open(reader: PdfReader) -> bool:
    """Try the empty password, with which a PDF can be read but not changed."""
    try:
        return bool(reader.decrypt(""))
    except DependencyError:
        return False
