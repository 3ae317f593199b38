"""A stream of bytes to lines, in bounded memory."""

from collections.abc import AsyncIterable, AsyncIterator

from msgspec import Struct

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(Struct, frozen=True):
    """A line of an import: its bytes, or why they could not be read."""

    number: int
    """Counts from 1, blank lines too."""
    data: bytes = b""
    error: str | None = None


async def lines_of(chunks: AsyncIterable[bytes], limit: int) -> AsyncIterator[Line]:
    """Yield the lines that are not blank, without their ends.

    A line of more than `limit` bytes is not kept: it comes as an error.
    """
    lines = _Lines(limit)
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield line
    for line in lines.feed(b"\n"):
        yield line


class _Lines:
    """What is known of the line that has not ended yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._is_too_long = False
        self._number = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """Take the next bytes; returns the lines that they end."""
        *ended, rest = chunk.split(b"\n")
        lines: list[Line] = []
        for part in ended:
            self._grow(part)
            line = self._end()
            if line.error or line.data:
                lines.append(line)
        self._grow(rest)
        return lines

    def _grow(self, part: bytes) -> None:
        if self._is_too_long or len(self._begun) + len(part) > self._limit:
            self._is_too_long = True
            self._begun.clear()
        else:
            self._begun += part

    def _end(self) -> Line:
        self._number += 1
        if self._is_too_long:
            line = Line(self._number, error=f"the line is longer than {self._limit:,} bytes")
        else:
            data = bytes(self._begun)
            line = Line(self._number, (data.removeprefix(BYTE_ORDER_MARK) if self._number == 1 else data).strip())
        self._begun.clear()
        self._is_too_long = False
        return line
