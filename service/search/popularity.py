"""The hottest requests: what to have ready when a process starts. Nothing else keeps the texts of queries."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from service.search.hottest import Hot

CALLERS: Final = 3
REQUESTS: Final = 5
"""So many different callers, or so many requests that are not all of one user, before the text is written down."""
MOST_WATCHED: Final = 10_000
"""Requests whose callers are counted; the one not asked for the longest is forgotten first."""
LARGEST_BODY: Final = 4096
"""Bytes of a request that may be kept: who asks for more is no crowd."""


class _Watched(Struct):
    count: int = 0
    callers: set[str] | None = None
    """None once there were enough."""
    body: bytes = b""


class Popularity:
    """Counts requests by their key in the caches. A request's text is kept once enough have asked it."""

    def __init__(self) -> None:
        self._watched: OrderedDict[tuple[str, str, str], _Watched] = OrderedDict()

    def note(self, tenant: str, path: str, key: str, caller: str, body: Callable[[], bytes]) -> None:
        """Count a request; `body` is called where its text may be kept from now on."""
        place = tenant, path, key
        watched = self._watched.get(place)
        if watched is None:
            watched = self._watched[place] = _Watched(callers=set())
            if len(self._watched) > MOST_WATCHED:
                self._watched.popitem(last=False)
        else:
            self._watched.move_to_end(place)
        watched.count += 1
        if watched.callers is None:
            return
        watched.callers.add(caller)
        # One user alone, however often, is no crowd; callers who name no user count by their requests.
        is_asked_often = watched.count >= REQUESTS and (caller == "" or len(watched.callers) > 1)
        if len(watched.callers) >= CALLERS or is_asked_often:
            watched.callers = None
            text = body()
            watched.body = text if len(text) <= LARGEST_BODY else b""

    def take(self) -> list[tuple[Hot, int]]:
        """Return the requests whose text may be kept with their counts, and count from 0 again."""
        hot = []
        for (tenant, path, _), watched in self._watched.items():
            if watched.body and watched.count:
                hot.append((Hot(tenant, path, watched.body), watched.count))
                watched.count = 0
        return hot
