"""What nginx before three processes costs a client that stays on its own, and how evenly new clients spread."""

import asyncio
import http.client
import json
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from scripts.bench.figures import Figure, median
from scripts.nginx.settings import Ingress, load_ingress
from tests.tools.nginx import RunningNginx, new_addresses, nginx_before
from tests.tools.replicas import Replica, replicas

ROUNDS = 7
SEARCHES = 200
"""In a round, one after the other."""
NEW_CLIENTS = 3000
DOCUMENTS = [{"id": f"d{number}", "text": f"the planet {number} is far away"} for number in range(100)]


class Caller:
    """One client on a kept connection, which it may name a process for by cookie."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.cookie = ""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(address, 0))
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str, body: object) -> None:
        """Send JSON, keep the cookie that comes; raises on anything but 200."""
        headers = {"Content-Type": "application/json"} | ({"Cookie": self.cookie} if self.cookie else {})
        self._connection.request("POST", path, json.dumps(body), headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(content.decode())
        self.cookie = response.headers.get("Set-Cookie", self.cookie).partition(";")[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


async def measure() -> list[Figure]:
    """Compare the same searches through nginx and without it, round by round, then let new clients come."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary, replicas(3, Path(temporary)) as processes:
        for process in processes:
            _fill(process)
        with nginx_before([process.address for process in processes], _unlimited()) as proxy:
            return [*_overhead(processes[0], proxy), *_spread(proxy)]


def _unlimited() -> Ingress:
    """Return the chart's values without the rate limit: one client makes all the load."""
    ingress = load_ingress()
    return replace(ingress, rate_limit=replace(ingress.rate_limit, requests_per_minute=0))


def _fill(process: Replica) -> None:
    with closing(Caller(process.port)) as caller:
        caller.ask("/collections/documents/documents", DOCUMENTS)


def _overhead(process: Replica, proxy: RunningNginx) -> list[Figure]:
    numbers = iter(range(2 * ROUNDS * SEARCHES))
    direct, through = [], []
    with closing(Caller(process.port)) as directly, closing(Caller(proxy.port)) as proxied:
        proxied.ask("/search", {"query": "the first"})
        for _ in range(ROUNDS):
            direct.append(_p50(directly, numbers))
            through.append(_p50(proxied, numbers))
    overheads = [one - other for one, other in zip(through, direct, strict=True)]
    return [
        Figure("p50 /search, directly", median(direct) * 1000, "ms"),
        Figure("p50 /search, through nginx", median(through) * 1000, "ms"),
        Figure("overhead of balancing, p50", median(overheads) * 1000, "ms", goal=5),
    ]


def _p50(caller: Caller, numbers: Iterator[int]) -> float:
    """Return the median of searches of which none is cached."""
    seconds = []
    for _ in range(SEARCHES):
        body = {"query": f"which planet is number {next(numbers)}"}
        start = time.perf_counter()
        caller.ask("/search", body)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def _spread(proxy: RunningNginx) -> list[Figure]:
    cookies = Counter[str]()
    for address, _ in zip(new_addresses(), range(NEW_CLIENTS), strict=False):
        with closing(Caller(proxy.port, address)) as caller:
            caller.ask("/search", {"query": "the first"})
            cookies[caller.cookie] += 1
    return [Figure("new clients of the busiest process by those of the idlest", _ratio(cookies), "x", goal=1.1)]


def _ratio(counts: Counter[str]) -> float:
    return max(counts.values()) / min(counts.values())
