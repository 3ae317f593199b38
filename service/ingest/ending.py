"""Ends what an import reads when the process is told to stop, so that it stops at an acknowledged batch."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from service.ingest.streams import Line

LAST_LINES: Final = 16
"""Taken after the process was told to stop: a short import is done whole."""


class Ending:
    """Ends the streams of one import. `has_cut` tells whether it left something unread."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.has_cut = False
        self._stopping = stopping

    async def pieces(self, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Pass on the pieces of a body; does not wait for another one when the process stops."""
        stops = asyncio.create_task(self._stopping.wait())
        try:
            async with aclosing(pieces):
                while (following := await self._following(pieces, stops)) is not None:
                    yield following
        finally:
            stops.cancel()

    async def lines(self, lines: AsyncIterator[Line]) -> AsyncIterator[Line]:
        """Pass on lines; gives only a few more when the process stops, and what may be half a line not at all."""
        left = LAST_LINES
        async for line in lines:
            if self._stopping.is_set():
                if self.has_cut or not left:
                    self.has_cut = True
                    return
                left -= 1
            yield line

    async def _following(self, pieces: AsyncGenerator[bytes], stops: asyncio.Task[bool]) -> bytes | None:
        following = asyncio.ensure_future(anext(pieces, None))
        try:
            await asyncio.wait({following, stops}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not following.done():
                self.has_cut = True
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return None if following.cancelled() else following.result()
