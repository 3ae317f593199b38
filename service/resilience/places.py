"""Bounds how many calls a dependency gets at once: the rest wait in line, and a long line is turned away."""

import asyncio
from collections import deque


class Full(Exception):
    """There is no place, and too many wait for one."""


class Late(Full):
    """No place came in time."""


class Places:
    """Places for so many at once, given to those who wait in the order in which they came."""

    def __init__(self, number: int, most_waiting: int) -> None:
        self._free = number
        self._number = number
        self._most_waiting = most_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._number - self._free

    async def take(self, seconds: float) -> None:
        """Take a place, which has to be given back; raises Full at once, or Late after so many seconds."""
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= self._most_waiting:
            raise Full
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give()  # the place came at the same time
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Late from None
            raise

    def give(self) -> None:
        """Give a place back: to the first in line."""
        self._free += 1
        self._hand_out()

    def resize(self, number: int) -> None:
        """Let there be so many places from now on; what is taken beyond that stays taken until it is given back."""
        self._free += number - self._number
        self._number = number
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
