"""Cuts what is to be imported into small requests and keeps two of them in flight."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec
from msgspec import Struct

from service.commands.lines import Failure, Item

MOST_ITEMS = 16
MOST_BYTES = 64_000
"""Small, so that the service answers queries between two batches and acknowledges often."""
IN_FLIGHT = 2


class Identity(Struct):
    """What makes two lines the same document or entry."""

    id: str = ""
    title: str = ""
    text: str = ""
    question: str = ""

    @property
    def key(self) -> str:
        """The id, or what the service derives one from."""
        return self.id or f"{self.title}\0{self.text}\0{self.question}"


class Batch(Struct, frozen=True):
    """Lines of one file to send together."""

    items: list[Item]
    failures: list[Failure]
    """Of lines that could not be read."""

    @property
    def keys(self) -> set[str]:
        """The documents that it writes."""
        return {key for item in self.items if (key := _key(item.data))}


class Outcome(Struct, frozen=True):
    """What became of one request."""

    counts: dict[str, int]
    """As the service reports them: received, created, updated, ..."""
    failures: list[Failure]
    read: int
    """Bytes of all sources up to here: progress."""


class Job(Struct, frozen=True):
    """One request to make."""

    keys: set[str]
    """The documents that it writes: two jobs that share one are never in flight together, so the later one wins."""
    run: Callable[[], Outcome]


def cut(found: Iterable[Item | Failure]) -> Iterator[Batch]:
    """Cut into batches of at most MOST_ITEMS lines, and MOST_BYTES where one line alone is not longer."""
    batch, size = Batch([], []), 0
    for entry in found:
        length = 0 if isinstance(entry, Failure) else len(entry.data)
        count = len(batch.items) + len(batch.failures)
        if count == MOST_ITEMS or (batch.items and size + length > MOST_BYTES):
            yield batch
            batch, size = Batch([], []), 0
        if isinstance(entry, Failure):
            batch.failures.append(entry)
        else:
            batch.items.append(entry)
        size += length
    if batch.items or batch.failures:
        yield batch


def run_jobs(jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Run jobs in threads and yield what became of each as it ends; what a job raises ends all.

    The first goes alone: it may create the collection, and its fields are those that the others must fit.
    """
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        running: dict[Future[Outcome], set[str]] = {}
        limit = 1
        for job in jobs:
            while len(running) >= limit or any(job.keys & keys for keys in running.values()):
                yield from _ended(running)
                limit = IN_FLIGHT
            running[threads.submit(job.run)] = job.keys
        while running:
            yield from _ended(running)


def _ended(running: dict[Future[Outcome], set[str]]) -> Iterator[Outcome]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        del running[future]
        yield future.result()


def _key(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=Identity).key
    except ValueError:
        return ""  # the service says what is wrong with the line
