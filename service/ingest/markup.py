"""HTML and Word files to text with Markdown headings."""

import io
import re
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import mammoth
from bs4 import BeautifulSoup
from markdownify import MarkdownConverter
from msgspec import Struct

from service.errors import InvalidDocument
from service.models import UNSTORABLE

LARGEST_PAGE: Final = 2_000_000
"""Bytes of HTML: its tree takes a hundred times as much."""
LARGEST_WORD_XML: Final = 8_000_000
"""Bytes of XML in a Word file, unpacked: five hundred pages, and no zip bomb."""
DROPPED: Final = ("script", "style", "template", "noscript", "svg", "iframe", "object", "title")
DECLARED_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([A-Za-z0-9_.:-]{1,40})")
CHARSET_SEARCHED: Final = 4_096


class Page(Struct, frozen=True):
    """The text of a page, and what its title element says."""

    text: str
    title: str


def html_to_text(data: bytes) -> Page:
    """Convert HTML, dropping scripts and styles, keeping headings; raises InvalidDocument, or RecursionError."""
    if len(data) > LARGEST_PAGE:
        raise InvalidDocument(f"the page has {len(data):,} bytes; the limit is {LARGEST_PAGE:,}")
    # An XML declaration makes the parser warn; it says nothing that matters here.
    soup = BeautifulSoup("<!-- -->" + _closed(_decoded(data)).replace("<?xml ", "<? "), "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    for element in soup(DROPPED):
        element.decompose()
    converter = MarkdownConverter(
        heading_style="atx",
        strip=["a", "img"],
        escape_asterisks=False,
        escape_underscores=False,
        table_infer_header=True,
    )
    text: str = converter.convert_soup(soup)
    return Page(UNSTORABLE.sub("", text), UNSTORABLE.sub("", title))


def word_to_text(data: bytes) -> Page:
    """Convert a .docx file; raises InvalidDocument, and what mammoth raises of a broken one."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            parts = [part for part in archive.infolist() if not part.filename.startswith("word/media/")]
    except BadZipFile:
        raise InvalidDocument("the file is not a Word file: it is no zip archive, or a broken one") from None
    if (size := sum(part.file_size for part in parts)) > LARGEST_WORD_XML:
        raise InvalidDocument(f"the Word file unpacks to {size:,} bytes of XML; the limit is {LARGEST_WORD_XML:,}")
    html: str = mammoth.convert_to_html(io.BytesIO(data), convert_image=_no_image).value
    return html_to_text(html.encode("utf-8", errors="replace"))


def _no_image(_: Any) -> list[Any]:
    return []


def _closed(page: str) -> str:
    """End a tag or comment that the page ends in: each one left open costs the parser another pass to the end."""
    if page.rfind("<!--") > page.rfind("-->"):
        return f"{page}-->"
    return f"{page}>" if page.rfind("<") > page.rfind(">") else page


def _decoded(data: bytes) -> str:
    declared = DECLARED_CHARSET.search(data[:CHARSET_SEARCHED])
    for charset in ("utf-8-sig", declared[1].decode() if declared else "utf-8"):
        try:
            return data.decode(charset)
        except (UnicodeError, LookupError):
            continue
    raise InvalidDocument("the page is neither UTF-8 nor in the character set that it declares")
