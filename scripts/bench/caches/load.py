"""Load on a service: one caller or a few that look at every answer, and wrk where only the number counts."""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path

from msgspec import Struct

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STATUS = re.compile(rb"\r\ncache-status: *([^\r]*)", re.IGNORECASE)
REDIS = re.compile(rb"\r\nserver-timing:[^\r]*\bredis;dur=([0-9.]+)", re.IGNORECASE)
WRK = shutil.which("wrk")
MOST_TRIES = 10
IN_TURN = """
local at = 0
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""
COUNT_UP = """
done = function(summary, latency)
  local failed = 0
  for _, number in pairs(summary.errors) do failed = failed + number end
  local times = string.format('"p50": %f, "p99": %f', latency:percentile(50), latency:percentile(99))
  print(string.format('{"requests": %d, "failed": %d, "microseconds": %d, %s}',
    summary.requests, failed, summary.duration, times))
end
"""


class Answer(Struct, frozen=True, dict=True):
    """An answer with status 200, and when it was asked for on the monotonic clock."""

    sent: float
    seconds: float
    head: bytes
    body: bytes

    @cached_property
    def cache_status(self) -> str:
        """What the service says of its cache of results."""
        found = STATUS.search(self.head)
        return found[1].decode() if found else ""

    @property
    def is_hit(self) -> bool:
        """Whether the answer was cached."""
        return "; hit;" in self.cache_status

    @property
    def redis_seconds(self) -> float:
        """How long the request waited for Redis, as the service measured it."""
        found = REDIS.search(self.head)
        return float(found[1]) / 1000 if found else 0.0


class Connection:
    """A connection that is kept, with blocking calls: less work than any client library."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Answer:
        """Send a request; raises RuntimeError where the answer is no 200."""
        sent = time.perf_counter()
        self._socket.sendall(request)
        received = self._socket.recv(1 << 16)
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[: end + 2]
        length = LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        while len(received) < whole:
            received += self._more()
        seconds = time.perf_counter() - sent
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(received.decode())
        return Answer(sent, seconds, head, received[end + 4 :])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _more(self) -> bytes:
        if received := self._socket.recv(1 << 16):
            return received
        raise RuntimeError("the service closed the connection")


class Counted(Struct, frozen=True):
    """What wrk counted; times in microseconds."""

    requests: int
    microseconds: int
    p50: float
    p99: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.microseconds * 1e6


def request(body: Mapping[str, object], path: str = "/search", method: str = "POST", **headers: str) -> bytes:
    """Return a whole request; a header's name is written with `_` for `-`."""
    content = json.dumps(body).encode() if body else b""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def ask_all(port: int, requests: Iterable[bytes], callers: int = 1) -> list[Answer]:
    """Send the requests, so many at a time, and return the answers as they came."""
    return _answers(port, iter(requests), callers, lambda _: 0.0)


def ask_steadily(port: int, requests: Iterator[bytes], callers: int, rate: float, seconds: float) -> list[Answer]:
    """Send so many requests a second, for so long."""
    start, count = time.perf_counter(), int(rate * seconds)
    numbered = (next(requests) for _ in range(count))
    return _answers(port, numbered, callers, lambda number: start + number / rate - time.perf_counter())


def empty_caches(port: int) -> None:
    """Delete all that is cached; tries again while Redis is left alone, as happens on a busy machine."""
    deletion = request({}, "/performance/cache", method="DELETE")
    for _ in range(MOST_TRIES):
        with suppress(RuntimeError):
            ask_all(port, [deletion])
            return
        time.sleep(1)
    raise RuntimeError("the caches cannot be emptied")


def _answers(port: int, pending: Iterator[bytes], callers: int, pause: Callable[[int], float]) -> list[Answer]:
    answers: list[Answer] = []
    failures: list[Exception] = []
    lock, numbered = threading.Lock(), enumerate(pending)

    def caller() -> None:
        with closing(Connection(port)) as connection:
            while not failures:
                with lock:
                    number, one = next(numbered, (0, None))
                if one is None:
                    return
                time.sleep(max(0.0, pause(number)))
                try:
                    answers.append(connection.ask(one))
                except (OSError, RuntimeError) as error:
                    failures.append(error)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return answers


def wrk(port: int, requests: Sequence[bytes], connections: int, seconds: int) -> Counted:
    """Send the requests again and again with wrk; raises RuntimeError where an answer is no 200."""
    printed = run_wrk(port, requests, COUNT_UP, f"-c{connections}", f"-d{seconds}s")
    found = json.loads(printed.splitlines()[-1])
    counted = Counted(**found)
    if counted.failed:
        raise RuntimeError(f"{counted.failed} of {counted.requests} answers were errors")
    return counted


def run_wrk(port: int, requests: Sequence[bytes], script: str, *options: str) -> str:
    """Send the requests in turn, with what else a script in Lua says; returns what wrk printed."""
    quoted = ",\n".join('"' + "".join(f"\\{byte:03d}" for byte in one) + '"' for one in requests)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(f"requests = {{{quoted}}}\n{IN_TURN}{script}")
        file.flush()
        command = [str(WRK), "-t1", *options, "-s", file.name, f"http://127.0.0.1:{port}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def has_wrk(skipped: str) -> bool:
    """Whether wrk is there; says otherwise what is skipped for want of it."""
    if WRK is None:
        sys.stderr.write(f"wrk is missing (the package `wrk` of Debian): {skipped} skipped.\n")
    return WRK is not None


def copied(directory: Path, name: str) -> Path:
    """Copy a data directory, so that another process may own it."""
    return Path(shutil.copytree(directory, directory.with_name(name)))
