"""Ends what an import reads when the process is told to stop, so that it stops at an acknowledged batch."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from service.ingest.streams import Line

LAST_SECONDS: Final = 5.0
"""An import that goes on arriving is read for so long after the process was told to stop: a short one is done whole."""
LAST_PAUSE_SECONDS: Final = 0.5
"""Waited then for the next piece of a body."""


class Ending:
    """Ends the streams of one import. `has_cut` tells whether it left something unread."""

    def __init__(self, stopping: asyncio.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self.has_cut = False
        self._stopping = stopping
        self._clock = clock
        self._ends: float | None = None

    async def pieces(self, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Pass on the pieces of a body; does not wait long for another one when the process stops."""
        stops = asyncio.create_task(self._stopping.wait())
        try:
            async with aclosing(pieces):
                while (following := await self._following(pieces, stops)) is not None:
                    yield following
        finally:
            stops.cancel()

    async def lines(self, lines: AsyncIterator[Line]) -> AsyncIterator[Line]:
        """Pass on lines; for a while only when the process stops, and what may be half a line not at all."""
        async for line in lines:
            if self.has_cut or self._is_over():
                self.has_cut = True
                return
            yield line

    async def _following(self, pieces: AsyncGenerator[bytes], stops: asyncio.Task[bool]) -> bytes | None:
        following = asyncio.ensure_future(anext(pieces, None))
        try:
            await asyncio.wait({following, stops}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done() and not self._is_over():
                await asyncio.wait({following}, timeout=LAST_PAUSE_SECONDS)
        finally:
            if not following.done():
                self.has_cut = True
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return None if following.cancelled() else following.result()

    def _is_over(self) -> bool:
        """Whether the process stops, and has given this import its last seconds."""
        if not self._stopping.is_set():
            return False
        if self._ends is None:
            self._ends = self._clock() + LAST_SECONDS
        return self._clock() >= self._ends
