"""What writers and readers saw of several processes, held against the promise of freshness."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct, field

PROMISED_SECONDS: Final = 1.0
TRUST_SECONDS: Final = 5.0
"""Promised where Redis is away: RETRIEVAL_MEMORY_TRUST_SECONDS."""
NOTICED_SECONDS: Final = 1.5
"""After Redis has come back: the breaker tries once a second."""

Process = tuple[int, int]
"""Place and life: after its death a process is another one."""
Broken = Literal["own", "elsewhere", "minimum"]


class Write(Struct, frozen=True):
    """An acknowledged write. Times are monotonic seconds."""

    document: int
    number: int
    """Rises with each write of the document."""
    sent: float
    acknowledged: float
    process: Process
    version: str


class Read(Struct, frozen=True, kw_only=True):
    """An answered read."""

    document: int
    number: int
    began: float
    ended: float
    process: Process | None
    """None where it died meanwhile."""
    tier: str
    """Where the answer comes from; empty: computed."""
    minimum: Write | None = None
    """What the reader had seen and asked for."""


class Violation(Struct, frozen=True):
    """An answer that is older than it may be."""

    broken: Broken
    seconds: float
    """From the acknowledgement of the first write that is missing to the beginning of the read."""
    read: Read
    missing: Write


class Trace(Struct):
    """All that happened."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """Of Redis."""
    failures: list[str] = field(default_factory=list)
    """Answers that nobody may ever get."""
    counts: Counter[str] = field(default_factory=Counter)

    def violations(self) -> list[Violation]:
        """Return the answers that break the promise."""
        return [violation for read, missing in self._stale() if (violation := self._judged(read, missing))]

    def stalest_seconds(self, *, in_outages: bool) -> float:
        """Return how old the oldest answer was elsewhere than where the write was acknowledged; 0: none was old."""
        return max(
            (
                read.began - missing[0].acknowledged
                for read, missing in self._stale()
                if (self._allowed_seconds(read) == TRUST_SECONDS) is in_outages
            ),
            default=0.0,
        )

    def hit_rates(self) -> tuple[float, float]:
        """Return the part of reads that were hits, and that of one cache that each acknowledged write empties."""
        possible, known = 0, set[int]()
        writes = iter(sorted(write.acknowledged for write in self.writes))
        acknowledged = next(writes, float("inf"))
        for read in sorted(self.reads, key=lambda read: read.began):
            while acknowledged <= read.began:
                known.clear()
                acknowledged = next(writes, float("inf"))
            possible += read.document in known
            known.add(read.document)
        total = max(1, len(self.reads))
        return sum(bool(read.tier) for read in self.reads) / total, possible / total

    def summary(self) -> str:
        """Return one line for people."""
        tiers = Counter(read.tier or "computed" for read in self.reads)
        hits, possible = self.hit_rates()
        stalest = [self.stalest_seconds(in_outages=in_outages) * 1000 for in_outages in (False, True)]
        waits = sorted(read.ended - read.began for read in self.reads) or [0.0]
        broken = Counter(violation.broken for violation in self.violations())
        parts = (
            f"{len(self.reads)} reads {dict(tiers)}, {len(self.writes)} writes, {dict(self.counts)}",
            f"hits {hits:.3f}, best possible {possible:.3f}",
            f"stalest elsewhere {stalest[0]:.0f} ms, around outages {stalest[1]:.0f} ms",
            f"p99 of reads {waits[int(len(waits) * 0.99)] * 1000:.0f} ms",
            f"violations {dict(broken)}, failures {len(self.failures)}",
        )
        return "; ".join(parts)

    def _stale(self) -> Iterator[tuple[Read, list[Write]]]:
        """Yield reads with the writes that they do not show and that were acknowledged before, oldest first."""
        by_document: dict[int, list[Write]] = defaultdict(list)
        for write in self.writes:
            by_document[write.document].append(write)
        for read in self.reads:
            missing = [
                write
                for write in by_document[read.document]
                if write.number > read.number and write.acknowledged < read.began
            ]
            if missing:
                yield read, missing

    def _judged(self, read: Read, missing: list[Write]) -> Violation | None:
        def violation(broken: Broken, write: Write) -> Violation:
            return Violation(broken, read.began - write.acknowledged, read, write)

        if own := [write for write in missing if write.process == read.process]:
            return violation("own", own[0])
        if read.minimum and missing[0].acknowledged <= read.minimum.acknowledged:
            return violation("minimum", missing[0])
        if read.began - missing[0].acknowledged > self._allowed_seconds(read):
            return violation("elsewhere", missing[0])
        return None

    def _allowed_seconds(self, read: Read) -> float:
        is_outage = any(
            began <= read.ended and read.began - TRUST_SECONDS <= ended + NOTICED_SECONDS
            for began, ended in self.outages
        )
        return TRUST_SECONDS if is_outage else PROMISED_SECONDS
