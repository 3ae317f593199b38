"""JSON Lines as they lie on disk, compressed or not, read with bounded memory."""

import codecs
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from gzip import GzipFile
from io import BufferedIOBase
from itertools import count
from pathlib import Path

from msgspec import Struct

LONGEST_LINE = 10_000_000
"""Bytes; what the service takes as one document."""


class Item(Struct, frozen=True):
    """A document or entry as JSON, and where it stands."""

    line: int
    data: bytes
    read: int
    """Bytes of the file that had been read by then, as they lie on disk: progress."""


class Failure(Struct, frozen=True):
    """Something that was not imported."""

    source: str
    line: int | None
    """In the user's file; None where the file is one document."""
    id: str | None
    error: str


def read_lines(path: Path) -> Iterator[Item | Failure]:
    """Yield the lines that are not blank; a line that cannot be read, and the rest of a broken archive, fail."""
    is_compressed = path.suffix.lower() == ".gz"
    with path.open("rb") as raw, GzipFile(fileobj=raw) if is_compressed else nullcontext(raw) as lines:
        for number in count(1):
            try:
                data = _next_line(lines)
            except (OSError, EOFError, zlib.error) as error:
                yield Failure(str(path), number, None, f"the file cannot be read from here on: {error}")
                return
            if data is None:
                yield Failure(str(path), number, None, f"the line is longer than {LONGEST_LINE // 1_000_000} MB")
            elif not data:
                return
            elif text := data.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").strip():
                yield Item(number, text, raw.tell())


def _next_line(lines: BufferedIOBase) -> bytes | None:
    """Return the next line, b"" at the end, or None for one that is too long: it is passed over, not kept."""
    data = lines.readline(LONGEST_LINE + 1)
    if len(data) <= LONGEST_LINE:
        return data
    while data and not data.endswith(b"\n"):
        data = lines.readline(LONGEST_LINE)
    return None
