"""One node of a Weaviate: how it is called, how it does, and whether it is left alone."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from weaviate.proto.v1 import weaviate_pb2_grpc

from service.resilience.breakers import Breaker

T = TypeVar("T")

FADING_SECONDS: Final = 5.0
"""In which what is known of a node's speed loses two thirds of its weight: a slow one is tried again."""
WEIGHT: Final = 0.2
"""Of the last call in the mean of a node's latencies."""
LEAST_SECONDS: Final = 0.001
"""That a call takes, for choosing: smaller differences are noise."""
LONG_AWAY_SECONDS: Final = 2.0
"""After which a node may have missed writes that the others took."""
REPAIR_SECONDS: Final = 60.0
"""In which Weaviate brings a node up to date that missed writes: it compares copies, and objects, after 30 s each."""
MOST_MISSES: Final = 3
"""Health checks in a row that may go unanswered."""

Check = Callable[[float], Awaitable[bool]]
"""Whether the node answered a health check in so many seconds."""


class Node:
    """A node behind its own breaker. Whoever begins a call tells what came of it."""

    def __init__(
        self,
        address: str,
        stub: weaviate_pb2_grpc.WeaviateStub,
        check: Check,
        *,
        metadata: tuple[tuple[str, str], ...] = (),
        is_several: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.stub = stub
        self.metadata = metadata
        self.is_several = is_several
        """Whether its name may stand for several addresses, so that another call may reach another one."""
        self.breaker = Breaker(f"Weaviate at {address}", clock)
        self.check = check
        self._clock = clock
        self._running: set[asyncio.Task[Any]] = set()
        self._latency = 0.0
        self._measured_at = clock()
        self._answered_at = -math.inf
        self._silent_since = math.inf
        self._misses = 0
        self._behind_until = -math.inf
        self._answers_behind = False

    @property
    def is_behind(self) -> bool:
        """Whether it was away for so long that others should be asked.

        It may lack what was written meanwhile, and answers reads from its own copy. After a start it knows the other
        nodes late: what is written through it then, Weaviate 1.39 acknowledges though no other node has it.
        """
        return self._clock() < self._behind_until

    @property
    def has_misled(self) -> bool:
        """Whether it is behind and was asked all the same, as no other was well."""
        return self._answers_behind and self.is_behind

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return len(self._running)

    def burden(self) -> float:
        """Return what another call would have to wait, about: to choose between nodes."""
        return (self._faded() + LEAST_SECONDS) * (len(self._running) + 1)

    def begin(self, call: Callable[["Node", float], Awaitable[T]], seconds: float) -> asyncio.Task[T]:
        """Begin a call. It is cancelled when the node is left alone."""
        task = asyncio.ensure_future(_awaited(call(self, seconds)))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def answered(self) -> None:
        """Note a call that was answered, well or with a refusal."""
        self._answered_at = self._clock()
        self._answers_behind = self.is_behind
        self._silent_since = math.inf
        self.breaker.succeeded()

    def took(self, seconds: float) -> None:
        """Note how long a read took, or has taken so far."""
        faded = self._faded()
        self._latency = faded + WEIGHT * (seconds - faded) if faded else seconds
        self._measured_at = self._clock()

    def failed(self, reason: str) -> None:
        """Note a call that failed, or was not answered in time."""
        self.breaker.failed(reason)
        if self.breaker.is_open:
            self._cancel()

    def overtaken(self, began: float, silent_seconds: float) -> None:
        """Note that another node answered a read that this one got before; it fails when it is silent for so long."""
        now = self._clock()
        self.took(now - began)
        if self.is_silent_since(began):
            self._silent_since = min(self._silent_since, began)
            if now - self._silent_since >= silent_seconds:
                self.failed("it is silent while another node answers")

    def is_silent_since(self, began: float) -> bool:
        """Whether it has answered no call after that moment."""
        return self._answered_at < began

    async def look(self, seconds: float) -> None:
        """Ask how it does: to use it again, or to notice that it is silent."""
        is_well = await self.check(seconds)
        if self.breaker.is_open:
            away_since = self.breaker.since
            self.breaker.probed(is_well=is_well)
            if not self.breaker.is_open and self._clock() - away_since >= LONG_AWAY_SECONDS:
                self._behind_until = self._clock() + REPAIR_SECONDS
        self._misses = 0 if is_well else self._misses + 1
        if self._misses >= MOST_MISSES:
            self.breaker.trip("it answers no health checks")
            self._cancel()

    def _faded(self) -> float:
        if not self._latency:
            return 0.0
        return self._latency * math.exp((self._measured_at - self._clock()) / FADING_SECONDS)

    def _cancel(self) -> None:
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited may have left meanwhile: then it is not missed


def _awaited(call: Awaitable[T]) -> Coroutine[Any, Any, T]:
    if asyncio.iscoroutine(call):
        return cast("Coroutine[Any, Any, T]", call)
    return _wrapped(call)


async def _wrapped(call: Awaitable[T]) -> T:
    return await call
