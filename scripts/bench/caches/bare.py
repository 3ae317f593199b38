"""The bare routes that hits are measured against: Litestar on granian as `retrieval serve` has it, and ready bytes."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import redis.asyncio
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Response, post
from litestar.params import JSONBody

from service.caches.redis import open_redis
from service.models import SearchRequest
from tests.tools.running import Running, free_port

LONGEST_START_SECONDS = 20


@contextmanager
def running_bare(bodies: Path, redis_url: str) -> Iterator[Running]:
    """Run the bare routes as a process of their own; `bodies` is a JSON file of queries and their answers.

    `/search` does nothing else; `/port` and `/library` get a value from Redis first, with our client and with redis-py.
    """
    port, start = free_port(), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "scripts.bench.caches.bare", str(port), str(bodies), redis_url])
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.perf_counter() - start > LONGEST_START_SECONDS:
                raise RuntimeError("the bare route did not start")
            time.sleep(0.02)
        yield Running(process, port, bodies.parent, time.perf_counter() - start)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


async def _serve(port: int, ready: Mapping[str, str], redis_url: str) -> None:
    encoded = {query: body.encode() for query, body in ready.items()}
    library = redis.asyncio.Redis.from_url(redis_url)
    keys = cycle([key.decode() async for key in library.scan_iter("retrieval:v1:result:*")])
    async with open_redis(redis_url) as client:

        @post("/search", status_code=200)
        async def search(data: JSONBody[SearchRequest]) -> Response[bytes]:
            return Response(encoded[data.query], media_type="application/json")

        @post("/port", status_code=200)
        async def by_port(data: JSONBody[SearchRequest]) -> Response[bytes]:
            key = next(keys)
            await client.run(key, ("GET", key))
            return Response(encoded[data.query], media_type="application/json")

        @post("/library", status_code=200)
        async def by_library(data: JSONBody[SearchRequest]) -> Response[bytes]:
            await library.get(next(keys))
            return Response(encoded[data.query], media_type="application/json")

        server = Server(
            Litestar([search, by_port, by_library], logging_config=None, openapi_config=None),
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGINL,
            log_enabled=False,
            backlog=1024,
            backpressure=10_000,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve()
    await library.aclose()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3]))
