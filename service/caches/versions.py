"""The protocol of versions as a pure state machine: what Redis keeps of a collection, and what a process may believe.

The scripts in `ledgers.py` do what `Ledger` does; tests explore both in all their interleavings.
"""

import math
from typing import Final

from msgspec import Struct, structs

TRUST_SECONDS: Final = 1.0
"""How long a confirmed version is believed, from when the question was sent."""
TOKEN_MS: Final = 30_000
"""Life of a pending write's token in milliseconds, unless renewed. A store write must take effect within it."""
GHOST: Final = "ghost"
"""Token that stands for all that a flush or a failover may have lost."""


class Version(Struct, frozen=True):
    """Of a collection's content. Callers see its text, which says nothing to them."""

    run: str
    """Identifies the reign of the Redis server that issued it."""
    n: int
    """Rises within a run, and is never issued twice in it."""

    @property
    def text(self) -> str:
        """What callers see."""
        return f"{self.run[:12]}.{self.n}"


class Server(Struct, frozen=True):
    """What a script finds at the server that runs it."""

    run: str
    micros: int
    """TIME of the server in microseconds."""
    token_ms: int = TOKEN_MS


class Ledger(Struct, frozen=True):
    """What Redis keeps of one collection; without arguments: nothing yet, or nothing any more."""

    run: str = ""
    n: int = 0
    pending: tuple[tuple[str, int], ...] = ()
    """Tokens of writes in progress, sorted, each with its expiry in milliseconds of the server's TIME."""

    def begin(self, server: Server, token: str) -> "Ledger":
        """Announce a write, or renew its token: if the writer dies, the expiry raises the version in its place."""
        return self.refresh(server).holding(token, server)

    def commit(self, server: Server, token: str) -> "Ledger":
        """Raise the version after a write took effect, and forget its token."""
        current = self.abandon(server, token)
        return structs.replace(current, n=current.n + 1)

    def abandon(self, server: Server, token: str) -> "Ledger":
        """Forget the token of a write that certainly changed nothing."""
        current = self.refresh(server)
        return structs.replace(current, pending=tuple(pair for pair in current.pending if pair[0] != token))

    def settle(self, server: Server) -> "Ledger":
        """Raise the version if a write is pending: its effect was seen, but its writer may be dead, or be slower."""
        current = self.refresh(server)
        return structs.replace(current, n=current.n + 1) if current.pending else current

    def refresh(self, server: Server) -> "Ledger":
        """Take note of what happened without a writer: another reign of the server, and tokens that expired."""
        return self.healed(server).expired(server)

    @property
    def version(self) -> Version:
        """The version after a refresh."""
        return Version(self.run, self.n)

    def healed(self, server: Server) -> "Ledger":
        """Make a ledger of another reign, or a lost one, ours: nothing that was cached before may be served again.

        The time in `n` exceeds whatever this server issued before a flush. Tokens may have been lost, and their
        writers may yet die: the ghost raises the version once more when the last of those tokens has expired.
        """
        if self.run == server.run:
            return self
        healed = structs.replace(self, run=server.run, n=self.seed(server))
        return healed.holding(GHOST, server)

    def seed(self, server: Server) -> int:
        """Return an `n` that was never issued, neither by this server nor in what it took over."""
        return max(self.n + 1, server.micros)

    def expired(self, server: Server) -> "Ledger":
        """Raise the version once for writers that died, and forget their tokens."""
        now = server.micros // 1000
        living = tuple(pair for pair in self.pending if pair[1] > now)
        if len(living) == len(self.pending):
            return self
        return structs.replace(self, n=self.n + 1, pending=living)

    def holding(self, token: str, server: Server) -> "Ledger":
        """Keep a token for its whole life from now."""
        pending = dict(self.pending) | {token: server.micros // 1000 + server.token_ms}
        return structs.replace(self, pending=tuple(sorted(pending.items())))


class Known(Struct, frozen=True):
    """What a process knows of one ledger. Times are monotonic seconds of the process."""

    version: Version
    sent: float
    """When the latest question was sent whose answer says that nothing newer had been acknowledged."""
    arrived: float
    """When the last answer was taken over."""

    def learned(self, version: Version, sent: float, now: float) -> "Known":
        """Return what is known after an answer that arrived now to a question that was sent then.

        Answers overtake each other. In one run the greater number is the later one. Of two runs, that one is later
        which was asked for after the other had answered; where they overlap nothing is certain until the next answer.
        """
        if version.run == self.version.run:
            if version.n < self.version.n:
                return self
            return Known(version, max(sent, self.sent), now)
        return Known(version, sent if sent > self.arrived else -math.inf, now)

    def distrusted(self) -> "Known":
        """Return the same, to be believed only after the next answer."""
        return structs.replace(self, sent=-math.inf)

    def is_current(self, now: float) -> bool:
        """Whether nothing newer was acknowledged longer than TRUST_SECONDS ago, nor ever by this process."""
        return now - self.sent < TRUST_SECONDS


class Table:
    """What a process knows of all ledgers that it uses."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._raised: dict[str, float] = {}

    def learn(self, name: str, version: Version, sent: float, now: float) -> None:
        """Take over an answer: of a read or of a commit, before which the write must not be acknowledged."""
        before = self._known.get(name)
        after = before.learned(version, sent, now) if before else Known(version, sent, now)
        if before is None or before.version != after.version:
            self._raised[name] = now
        self._known[name] = after

    def distrust(self, name: str) -> None:
        """Believe what is known only after the next answer."""
        if known := self._known.get(name):
            self._known[name] = known.distrusted()

    def current(self, name: str, now: float) -> str | None:
        """Return the version if it was confirmed less than TRUST_SECONDS ago."""
        known = self._known.get(name)
        return known.version.text if known and known.is_current(now) else None

    def last(self, name: str) -> str | None:
        """Return the version that was heard of last, however long ago."""
        known = self._known.get(name)
        return known.version.text if known else None

    def raised(self, name: str) -> float:
        """Return when this process learned of the last change; infinity where it knows nothing."""
        return self._raised.get(name, math.inf)


def proves(known: str, minimum: str) -> bool:
    """Whether what has version `known` is certainly not older than `minimum`: versions of two runs prove nothing."""
    if known == minimum:
        return True
    run, _, n = known.rpartition(".")
    other_run, _, other_n = minimum.rpartition(".")
    return run == other_run and n.isdecimal() and other_n.isdecimal() and int(n) >= int(other_n)
