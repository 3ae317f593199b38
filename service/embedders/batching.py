"""Keeps the event loop free while models compute: threads that batch what waits, and serve queries before imports."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from service.embedders.base import Model, Purpose, Vectors
from service.embedders.texts import well_formed
from service.errors import ModelUnavailable
from service.machine import usable_cores

QUERY_BATCH_TOKENS = 512
"""Padded, about: beyond, a batch no longer gets cheaper per text, only later."""
PASSAGE_BATCH_TOKENS = 1
"""One passage a run: nothing is padded, and nothing that a query could wait behind gets long."""
LOWEST_PRIORITY = 19
CHARACTERS_PER_TOKEN = 4
FRAME_TOKENS = 8
"""More than any tokenizer puts around a text."""


class BatchingEmbedder:
    """The Embedder port over one model. Lives on the event loop that it was made on; see `open_embedder`."""

    def __init__(self, model: Model, threads: int) -> None:
        self.card = model.card
        self.tokenizer = model.tokenizer
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._lanes: dict[Purpose, _Lane] = {
            "query": _Lane(model, self._loop, "query", threads, QUERY_BATCH_TOKENS),
            "passage": _Lane(model, self._loop, "passage", threads, PASSAGE_BATCH_TOKENS),
        }

    async def embed(self, texts: Sequence[str], purpose: Purpose, tenant: str | None = None) -> Vectors:  # noqa: ARG002  # a model keeps nothing
        """Embed texts, all or none; raises ModelUnavailable where the model fails or the embedder is closed."""
        if self._is_closed:
            raise ModelUnavailable("The embedder is closed.")
        call = _Call(self._loop.create_future(), np.empty((len(texts), self.card.dimensions), np.float32))
        prefix = self._prefix(purpose)
        waiting = self._lanes[purpose].waiting
        for row, text in enumerate(texts):
            waiting.put(_Text(call, row, prefix + text))
        if texts:
            await call.done
        return call.vectors

    def is_truncated(self, text: str, purpose: Purpose) -> bool:
        whole = self._prefix(purpose) + text
        # Of ASCII, a token holds a character at least; others may decompose into several (Hangul syllables do).
        if whole.isascii() and len(whole) + FRAME_TOKENS <= self.card.window:
            return False
        return len(self.tokenizer.encode(well_formed(whole)).ids) > self.card.window

    async def close(self) -> None:
        """Wait for the runs in progress; what has not begun fails with ModelUnavailable."""
        self._is_closed = True
        for lane in self._lanes.values():
            lane.stop()
        for lane in self._lanes.values():
            await asyncio.to_thread(lane.join)

    def _prefix(self, purpose: Purpose) -> str:
        return self.card.query_prefix if purpose == "query" else self.card.passage_prefix


@asynccontextmanager
async def open_embedder(model: Model, threads: int | None = None) -> AsyncIterator[BatchingEmbedder]:
    """Serve a model on the running event loop, with so many threads for each purpose: by default one a core."""
    embedder = BatchingEmbedder(model, threads or usable_cores())
    try:
        yield embedder
    finally:
        await embedder.close()


class _Call:
    """One embed() in progress. Only the event loop touches it, but threads may ask whether it is done."""

    def __init__(self, done: asyncio.Future[None], vectors: Vectors) -> None:
        self.done = done
        self.vectors = vectors
        self.missing = len(vectors)


class _Text(NamedTuple):
    call: _Call
    row: int
    text: str


class _Lane:
    """A queue of texts and the threads that serve it: an idle thread takes at once what waits, and waits for no more.

    Threads hold no lock of ours while they run, so that one of low priority never holds up the event loop.
    """

    def __init__(
        self, model: Model, loop: asyncio.AbstractEventLoop, purpose: Purpose, threads: int, batch_tokens: int
    ) -> None:
        self.waiting: SimpleQueue[_Text | None] = SimpleQueue()
        self._model = model
        self._loop = loop
        self._purpose = purpose
        self._batch_tokens = batch_tokens
        self._is_stopped = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"embed-{purpose}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_stopped = True
        self.waiting.put(None)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        if self._purpose == "passage" and sys.platform == "linux":
            # Linux has a priority per thread: imports compute when queries do not. Measured on two cores, the p99 of a
            # query during an import is 8 ms with this and 12.6 ms without. Elsewhere it would slow the whole process.
            with suppress(OSError):  # a sandbox may forbid it; imports go on all the same
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        while (batch := self._take()) is not None:
            self._embed([text for text in batch if not text.call.done.done()])

    def _take(self) -> list[_Text] | None:
        """Block for one text, then add this thread's share of what waits, within the budget; None is the end."""
        if (first := self._next(block=True)) is None:
            return None
        batch = [first]
        longest = self._tokens(first)
        share = 1 + self.waiting.qsize() // len(self._threads)
        while len(batch) < share and (len(batch) + 1) * longest <= self._batch_tokens:
            if (text := self._next(block=False)) is None:
                break
            batch.append(text)
            longest = max(longest, self._tokens(text))
        return batch

    def _next(self, *, block: bool) -> _Text | None:
        try:
            text = self.waiting.get(block)
        except Empty:
            return None
        if text is None:
            self.waiting.put(None)  # the other threads end by it too
        return text

    def _tokens(self, text: _Text) -> int:
        """Estimate, for the tokenizer has not run yet."""
        return min(self._model.card.window, len(text.text) // CHARACTERS_PER_TOKEN + FRAME_TOKENS)

    def _embed(self, batch: Sequence[_Text]) -> None:
        if not batch:
            return
        if self._is_stopped:
            self._loop.call_soon_threadsafe(_fail, batch, "The embedder was closed before this text's turn came.", None)
            return
        try:
            vectors = self._model.encode([text.text for text in batch])
        except Exception as error:  # noqa: BLE001  # whatever the model raises belongs to the callers, not to the thread
            self._loop.call_soon_threadsafe(_fail, batch, f"The embedding model failed: {error}", error)
        else:
            self._loop.call_soon_threadsafe(_deliver, batch, vectors)


def _deliver(batch: Sequence[_Text], vectors: Vectors) -> None:
    for (call, row, _), vector in zip(batch, vectors, strict=True):
        call.vectors[row] = vector
        call.missing -= 1
        if call.missing == 0 and not call.done.done():
            call.done.set_result(None)


def _fail(batch: Sequence[_Text], message: str, cause: Exception | None) -> None:
    for call, _, _ in batch:
        if not call.done.done():
            error = ModelUnavailable(message)
            error.__cause__ = cause
            call.done.set_exception(error)
