"""One computation of what several callers ask for at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Compute = Callable[[list[Key]], Awaitable[Sequence[Value]]]
Flight = asyncio.Task[dict[Key, Value]]


class Flights(Generic[Key, Value]):
    """Computations in progress. Lives on one event loop."""

    def __init__(self) -> None:
        self._flying: dict[Key, Flight[Key, Value]] = {}
        self._waiters: dict[Flight[Key, Value], int] = {}
        """How many wait for each task; keeps a cancelled one until it has ended."""
        self._shared = 0

    async def share(self, keys: Sequence[Key], compute: Compute[Key, Value]) -> list[Value]:
        """Return the value of each key: what is in flight is waited for, the others `compute` is called for, once.

        It runs in a task of its own, in a copy of this caller's context. That is cancelled once nobody waits for it
        any more, and not before. Raises what the computations raise, as soon as one does; nothing is kept of it.
        """
        missing = [key for key in dict.fromkeys(keys) if not self.is_flying(key)]
        if missing:
            self._begin(missing, compute)
        flights = {key: self._flying[key] for key in keys}
        self._shared += len(flights) - len(missing)
        try:
            await self._landing(set(flights.values()))
            return [flights[key].result()[key] for key in keys]
        finally:
            del flights  # an error's traceback holds this frame: it would hold the error in turn

    def is_flying(self, key: Key) -> bool:
        """Whether a computation of the key is in progress that one more caller can wait for."""
        task = self._flying.get(key)
        return task is not None and not task.done() and not task.cancelling()

    @property
    def shared(self) -> int:
        """How many waits for a key were for a computation that another caller had begun, since the start."""
        return self._shared

    def _begin(self, keys: list[Key], compute: Compute[Key, Value]) -> None:
        task = asyncio.create_task(self._compute(keys, compute))
        self._waiters[task] = 0
        for key in keys:
            self._flying[key] = task
        task.add_done_callback(lambda task: self._end(keys, task))

    async def _compute(self, keys: list[Key], compute: Compute[Key, Value]) -> dict[Key, Value]:
        return dict(zip(keys, await compute(keys), strict=True))

    async def _landing(self, tasks: set[Flight[Key, Value]]) -> None:
        """Wait for the tasks; raises the error of the first that fails."""
        if not tasks:
            return
        for task in tasks:
            self._waiters[task] += 1
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                self._leave(task)
            del tasks, task  # as in share

    def _leave(self, task: Flight[Key, Value]) -> None:
        if task in self._waiters:
            self._waiters[task] -= 1
            if not self._waiters[task]:
                task.cancel()

    def _end(self, keys: list[Key], task: Flight[Key, Value]) -> None:
        for key in keys:
            if self._flying.get(key) is task:
                del self._flying[key]
        del self._waiters[task]
        if not task.cancelled():
            task.exception()  # whoever waited may have left meanwhile: then it is not missed
