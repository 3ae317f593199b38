"""Bounds how many calls a dependency gets at once: the rest wait in line, and a long line is turned away."""

import asyncio
from collections import OrderedDict, deque

Turn = asyncio.Future[None]


class Full(Exception):
    """There is no place, and too many wait for one."""


class Late(Full):
    """No place came in time."""


class Places:
    """Places for so many at once. Those who wait stand in a line each of their own kind, and the lines take turns.

    One line holds `most_of_one` at most, so that nobody fills the room for all; by default there is one kind.
    """

    def __init__(self, number: int, most_waiting: int, most_of_one: int | None = None) -> None:
        self._free = number
        self._number = number
        self._most_waiting = most_waiting
        self._most_of_one = most_of_one or most_waiting
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._waiting = 0

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._number - self._free

    async def take(self, seconds: float, kind: str = "") -> None:
        """Take a place, which has to be given back; raises Full at once, or Late after so many seconds."""
        if self._free > 0:
            self._free -= 1
            return
        turn = self._stand_in_line(kind)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give()  # the place came at the same time
            else:
                self._leave(kind, turn)
            if isinstance(error, TimeoutError):
                raise Late from None
            raise

    def give(self) -> None:
        """Give a place back: to the first of the next line."""
        self._free += 1
        self._hand_out()

    def resize(self, number: int) -> None:
        """Let there be so many places from now on; what is taken beyond that stays taken until it is given back."""
        self._free += number - self._number
        self._number = number
        self._hand_out()

    def _stand_in_line(self, kind: str) -> Turn:
        line = self._lines.get(kind, ())
        if self._waiting >= self._most_waiting or len(line) >= self._most_of_one:
            raise Full
        turn: Turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(kind, deque()).append(turn)
        self._waiting += 1
        return turn

    def _leave(self, kind: str, turn: Turn) -> None:
        line = self._lines.get(kind)
        if line and turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[kind]

    def _hand_out(self) -> None:
        while self._free > 0 and self._lines:
            kind, line = next(iter(self._lines.items()))
            turn = line.popleft()
            self._waiting -= 1
            self._lines.move_to_end(kind)
            if not line:
                del self._lines[kind]
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
