"""One connection to one server: sends commands in one write, and never survives a reply that nobody took."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from service.caches.base import Command

NOTHING = object()
EVICTING = b"allkeys-"
FACTS: tuple[Command, ...] = (("INFO", "server"), ("INFO", "memory"))


class LinkLost(Exception):
    """The connection is gone, or cannot be made; the message says why."""


class EvictsVersions(LinkLost):
    """The server may drop what must not be lost: it is not used."""


class Link(asyncio.Protocol):
    """A connection that redis-py made, with an exchange of our own on it: one at a time, all its replies at once.

    redis-py reads through a StreamReader and a timer for each reply, and its pool asks twice whether bytes are
    pending; here the transport calls us, so an idle connection that breaks is known before it is used.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self.run = ""
        """The run id of the server at the other end."""
        self.is_lost = False
        self.on_lost: Callable[[Link], None] | None = None
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        # Kept, for a StreamWriter closes its transport when it is collected.
        self._writer = _take_writer(connection)
        self._transport = self._writer.transport
        self._parser = hiredis.Reader(notEnoughData=NOTHING)
        self._expected = 0
        self._replies: list[Any] = []
        self._answer: asyncio.Future[list[Any]] | None = None
        self._transport.set_protocol(self)

    def ask(self, commands: bytes, count: int) -> asyncio.Future[list[Any]]:
        """Send packed commands; their replies, errors among them as ReplyError, or LinkLost come in the future.

        Who does not wait to its end must abort the link.
        """
        self._answer = self._loop.create_future()
        if self.is_lost:
            self._answer.set_exception(LinkLost("The connection was lost."))
            return self._answer
        self._expected = count
        self._replies = []
        self._transport.write(commands)
        return self._answer

    def abort(self, reason: str = "The connection was closed.") -> None:
        """Close at once, whatever is under way; does nothing on a link that is lost."""
        if self.is_lost:
            return
        self.is_lost = True
        self._transport.abort()
        if self._answer and not self._answer.done():
            self._answer.set_exception(LinkLost(reason))
        if self.on_lost:
            self.on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Collect replies; called by the transport."""
        answer = self._answer
        if answer is None or answer.done():
            self.abort("The server spoke unasked.")
            return
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not NOTHING:
                self._replies.append(reply)
        except hiredis.HiredisError as error:
            self.abort(f"The server answered what is not Redis: {error}")
            return
        if len(self._replies) > self._expected:
            self.abort("The server gave more replies than there were commands.")
        elif len(self._replies) == self._expected:
            self.used_at = self._loop.time()
            answer.set_result(self._replies)

    def connection_lost(self, error: Exception | None) -> None:
        """Note the loss; called by the transport."""
        self.abort(f"The connection broke: {error}" if error else "The server closed the connection.")


async def open_link(connection: AbstractConnection) -> Link:
    """Connect and learn who is there. Raises LinkLost, EvictsVersions where the server may evict versions."""
    await connect(connection)
    link = Link(connection)
    try:
        server, memory = await link.ask(pack(FACTS), len(FACTS))
        link.run = _fact(server, b"run_id").decode()
        policy = _fact(memory, b"maxmemory_policy")
    except BaseException:
        link.abort()
        raise
    if policy.startswith(EVICTING):
        link.abort()
        raise EvictsVersions(
            f"maxmemory-policy of Redis is {policy.decode()}: under memory pressure it may evict the versions of the "
            "collections, and old results would come back. Set it to volatile-lru, another volatile-*, or noeviction."
        )
    return link


async def connect(connection: AbstractConnection) -> None:
    """Connect, with TLS, AUTH and SELECT as configured; raises LinkLost."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
    except (RedisError, OSError) as error:
        await connection.disconnect(nowait=True)
        raise LinkLost(str(error) or type(error).__name__) from error
    except BaseException:
        await connection.disconnect(nowait=True)
        raise


def pack(commands: Sequence[Command]) -> bytes:
    """Return commands as they go over the wire."""
    if len(commands) == 1:
        return _packed(commands[0])
    return b"".join(map(_packed, commands))


def _packed(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows tuples of one only
    return packed


def _fact(information: Any, name: bytes) -> bytes:
    if not isinstance(information, bytes):
        raise LinkLost(f"INFO of Redis is needed, for its run id and its eviction policy, and failed: {information}")
    for line in information.splitlines():
        key, _, value = line.partition(b":")
        if key == name:
            return value
    raise LinkLost(f"INFO of Redis does not tell {name.decode()}.")


def _take_writer(connection: AbstractConnection) -> asyncio.StreamWriter:
    """Take the socket from a connection of redis-py, which would close it when it is collected."""
    writer = connection._writer  # noqa: SLF001  # redis-py has no public way to its transport
    if writer is None:
        raise LinkLost("The connection broke while it was made.")
    connection._reader = connection._writer = None  # noqa: SLF001  # the same
    return writer
