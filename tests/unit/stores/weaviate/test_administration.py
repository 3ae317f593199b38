"""Reads over HTTP do not wait for a node that is frozen, and nothing is called where all nodes are left alone."""

import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest

from service.errors import StoreUnavailable
from service.stores.weaviate.administration import open_administration
from service.stores.weaviate.nodes import Nodes

pytestmark = pytest.mark.anyio

LONG = 60.0


@pytest.fixture
def frozen() -> Iterator[str]:
    """Of what takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class Node:
    """Answers what it is told to, and counts."""

    def __init__(self, body: bytes, status: int) -> None:
        self.asked = 0
        self._answer = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(self._answer)
        await writer.drain()
        writer.close()


def found(body: bytes = b'{"properties": {"entry": "it"}}', status: int = httpx.codes.OK) -> Node:
    return Node(body, status)


async def test_a_read_is_answered_by_the_next_node_where_one_is_frozen(frozen: str) -> None:
    async with (
        found() as url,
        open_administration([frozen, url], "", LONG) as administration,
        asyncio.timeout(LONG / 2),
    ):
        assert await administration.read_object("Catalog", "id", "QUORUM") == {"entry": "it"}


async def test_the_node_that_answered_is_asked_first(frozen: str) -> None:
    first, second = found(status=httpx.codes.INTERNAL_SERVER_ERROR), found()
    async with first as bad, second as good, open_administration([bad, frozen, good], "", LONG) as administration:
        for _ in range(3):
            assert await administration.read_object("Catalog", "id", "QUORUM")
    assert (first.asked, second.asked) == (1, 3)


async def test_a_read_without_a_good_answer_says_why(frozen: str) -> None:
    async with found(b"<html>") as url, open_administration([url], "", LONG) as administration:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await administration.read_object("Catalog", "id", "QUORUM")
    async with open_administration([frozen, frozen], "", 0.01) as administration:
        with pytest.raises(StoreUnavailable, match="Timeout"):
            await administration.read_object("Catalog", "id", "QUORUM")


async def test_nothing_is_called_where_all_nodes_are_left_alone() -> None:
    node = found()
    async with node as url, open_administration([url], "", LONG, Nodes([]).check) as administration:
        with pytest.raises(StoreUnavailable, match="left alone"):
            await administration.read_object("Catalog", "id", "QUORUM")
        with pytest.raises(StoreUnavailable, match="left alone"):
            await administration.create_tenant("Records", "acme")
    assert node.asked == 0


async def test_what_is_not_there_is_none() -> None:
    async with found(status=httpx.codes.NOT_FOUND) as url, open_administration([url], "", LONG) as administration:
        assert await administration.read_object("Catalog", "id", "QUORUM") is None
