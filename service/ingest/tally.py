"""What became of the lines of one import so far, in memory that does not grow with the documents' size."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal

from service.ingest.models import MOST_FAILURES_LISTED, FailedLine, ImportReport

Outcome = Literal["created", "updated", "unchanged"]
KEY_BYTES: Final = 8


class Tally:
    """Counts acknowledged lines; an id that comes again takes the place of its earlier line."""

    def __init__(self, collection: str, version: str) -> None:
        self.version = version
        self.passages = 0
        self._collection = collection
        self._counts: dict[Outcome, int] = {"created": 0, "updated": 0, "unchanged": 0}
        self._superseded = 0
        self._failed: list[FailedLine] = []
        self._failures = 0
        self._outcomes: dict[int, Outcome] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no line was counted yet."""
        return not (self._outcomes or self._failures)

    def fail(self, failures: Sequence[FailedLine]) -> None:
        self._failures += len(failures)
        self._failed.extend(failures[: MOST_FAILURES_LISTED - len(self._failed)])

    def supersede(self, lines: int) -> None:
        """Count lines that were never written, as their id came again at once."""
        self._superseded += lines

    def settle(self, identifier: str, outcome: Outcome) -> None:
        """Count a document. The outcome tells how the whole request left it, compared with how it was before."""
        key = int.from_bytes(blake2b(identifier.encode(), digest_size=KEY_BYTES).digest())
        if earlier := self._outcomes.get(key):
            self._counts[earlier] -= 1
            self._superseded += 1
            outcome = outcome if earlier == "unchanged" else earlier
        self._outcomes[key] = outcome
        self._counts[outcome] += 1

    def report(self) -> ImportReport:
        """Return what was counted up to now."""
        return ImportReport(
            collection=self._collection,
            version=self.version,
            received=sum(self._counts.values()) + self._superseded + self._failures,
            created=self._counts["created"],
            updated=self._counts["updated"],
            unchanged=self._counts["unchanged"],
            superseded=self._superseded,
            passages=self.passages,
            failed=list(self._failed),
            failures=self._failures,
        )
