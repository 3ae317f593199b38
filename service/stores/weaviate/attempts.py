"""One call to Weaviate, tried on one node after the other until one answers it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import grpc
from msgspec import Struct

from service.errors import StoreUnavailable
from service.resilience.hedging import Hedging
from service.stores.weaviate.node import Node

T = TypeVar("T")
Call = Callable[[Node, float], Awaitable[T]]
"""Calls a node, which has so many seconds."""

UNWELL: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""Says that the node, or the way to it, is not well."""
UNCLEAR: Final = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
"""Weaviate's answer to most that goes wrong: the call may be to blame, or this node alone."""
LONGEST_WRITE_SECONDS: Final = 10.0
"""Of one try, while there is another node to try."""
MOST_CALLS_OF_A_NAME: Final = 2
LONGEST_REASON: Final = 300


class Refused(Exception):
    """Weaviate answered that it does not do this; the message is its own."""

    def __init__(self, details: str, code: grpc.StatusCode) -> None:
        super().__init__(details)
        self.code = code


class Attempt(Struct, frozen=True):
    """A node that was asked."""

    node: Node
    began: float
    is_hedge: bool


class Attempts(Generic[T]):
    """A write goes to another node where one is not well.

    A read, one with `hedging`, does so too where a node is late, or where its answer is unclear.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        call: Call[T],
        seconds: float,
        hedging: Hedging | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = [node for node in nodes for _ in range(MOST_CALLS_OF_A_NAME if node.is_several else 1)]
        self._call = call
        self._seconds = seconds
        self._hedging = hedging
        self._clock = clock
        self._running: dict[asyncio.Task[T], Attempt] = {}
        self._unclear: list[tuple[Node, Refused]] = []
        self._reason = "all its nodes are left alone, for they do not answer"
        self._ends = clock() + seconds
        self._steps: list[tuple[float, Callable[[], None]]] = []
        """When which further nodes are asked although one may yet answer, the first moment last."""

    async def answer(self) -> T:
        """Return the first good answer; raises StoreUnavailable, Refused, and what the call itself raises."""
        self._begin()
        self._plan()
        try:
            while True:
                until = self._steps[-1][0] if self._steps else self._ends
                await asyncio.wait(
                    self._running, timeout=max(0.0, until - self._clock()), return_when=asyncio.FIRST_COMPLETED
                )
                ended = [task for task in self._running if task.done()]
                for task in ended:
                    if self._is_good(task):
                        return task.result()
                if not ended:
                    self._wait_longer()
        finally:
            for task in self._running:
                task.cancel()

    def _plan(self) -> None:
        if self._hedging is None or not self._left:
            return
        self._hedging.earn()
        now = self._clock()
        half = (now + self._ends) / 2
        silent = now + self._hedging.silent_seconds
        steps = [(half, self._begin), (silent, self._leave_silent), (now + self._hedging.late_seconds, self._hedge)]
        self._steps = [step for step in steps if step[0] <= half]

    def _hedge(self) -> None:
        if self._hedging and any(not node.is_behind for node in self._fit()) and self._hedging.spend():
            self._begin(is_hedge=True)

    def _leave_silent(self) -> None:
        """Ask another node where those that were asked have answered nobody since."""
        if all(attempt.node.is_silent_since(attempt.began) for attempt in self._running.values()):
            self._begin()

    def _begin(self, *, is_hedge: bool = False) -> None:
        """Ask the node that has least to do; raises what is known where nobody is left and nobody is asked."""
        now = self._clock()
        fit = self._fit()
        if fit and now < self._ends:
            node = min(fit, key=Node.burden) if len(fit) > 1 else fit[0]
            self._left.remove(node)
            self._running[node.begin(self._call, self._seconds_of_try(now))] = Attempt(node, now, is_hedge)
        elif not self._running:
            if self._unclear:
                raise self._unclear[-1][1]
            raise StoreUnavailable(f"Weaviate does not answer: {self._reason}.")

    def _fit(self) -> list[Node]:
        """Return the nodes that can still be asked: those that are behind only where there are no others."""
        open_ones = [node for node in self._left if not node.breaker.is_open]
        return [node for node in open_ones if not node.is_behind] or open_ones

    def _seconds_of_try(self, now: float) -> float:
        """Return how long a node has. Where a write hangs, as after a replica died, another node is left time."""
        left = self._ends - now
        return min(left, LONGEST_WRITE_SECONDS) if self._hedging is None and self._left else left

    def _wait_longer(self) -> None:
        """Do what is due now; raises StoreUnavailable at the end."""
        if self._steps:
            _, step = self._steps.pop()
            step()
            return
        for attempt in self._running.values():
            attempt.node.failed(f"it did not answer in {self._seconds:.3g} s")
        raise StoreUnavailable(f"Weaviate did not answer in {self._seconds:.3g} s.")

    def _is_good(self, task: asyncio.Task[T]) -> bool:
        """Take note of a task's end, and ask another node where it was not good."""
        attempt = self._running.pop(task)
        if task.cancelled():
            self._reason = f"{attempt.node.address} is left alone"
        elif (error := task.exception()) is None:
            self._succeeded(attempt)
            return True
        elif isinstance(error, grpc.aio.AioRpcError):
            self._note(attempt, error)
        else:
            raise error
        self._begin()
        return False

    def _note(self, attempt: Attempt, error: grpc.aio.AioRpcError) -> None:
        """Take note of an error; raises Refused where another node would say the same."""
        code, details = error.code(), error.details() or ""
        if code in UNWELL:
            self._reason = f"{attempt.node.address}: {code.name}, {details[:LONGEST_REASON]}"
            attempt.node.failed(self._reason)
            return
        attempt.node.answered()
        refusal = Refused(details, code)
        if self._hedging is None or code not in UNCLEAR or self._unclear:
            raise refusal
        self._unclear.append((attempt.node, refusal))

    def _succeeded(self, attempt: Attempt) -> None:
        node = attempt.node
        node.answered()
        for other, refusal in self._unclear:
            other.failed(f"it refuses what another node answers: {str(refusal)[:LONGEST_REASON]}")
        if self._hedging is None:
            return
        seconds = self._clock() - attempt.began
        node.took(seconds)
        self._hedging.observe(seconds)
        self._hedging.won += attempt.is_hedge
        for other_attempt in self._running.values():
            if other_attempt.began < attempt.began:
                self._hedging.observe(self._clock() - other_attempt.began)
                other_attempt.node.overtaken(other_attempt.began, self._hedging.silent_seconds)
