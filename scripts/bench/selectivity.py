"""Recall and time of the vector leg by how selective its filter is, with and without the planner, on any store.

`python -m scripts.bench.selectivity --store weaviate --passages 200000 --write docs/benchmarks`
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Final

from msgspec import Struct

from scripts.bench.caches.passages import model
from scripts.bench.figures import Figure, median, percentile
from scripts.bench.filtered import FIELDS, FRACTIONS, TOP, Case, Corpus
from scripts.bench.plots import plot
from service.caches.freshness import OwnVersions
from service.models import Collection
from service.search.planner import Thresholds
from service.search.planning import EMBEDDED, WEAVIATE, Planning
from service.search.refreshing import Refreshing
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from service.stores.embedded.store import EmbeddedStore
from service.stores.filters import Filter, parse_filter
from service.stores.weaviate import open_weaviate_store
from service.telemetry import Telemetry
from tests.tools.weaviate import weaviate_server

DEPTH: Final = 50
"""Matches that a search asks its leg for."""
INDEX_AT: Final = 20_000
BATCH: Final = 500
ROUNDS: Final = 2


class Target(Struct, frozen=True):
    """A store to measure."""

    open: Callable[[Path], AbstractAsyncContextManager[Store]]
    is_ready: Callable[[Store, Collection], bool]
    thresholds: Thresholds


class Runs(Struct):
    """What was measured of one part, one way."""

    seconds: list[float]
    recalls: list[float]

    @property
    def recall(self) -> float:
        """Mean recall@10."""
        return sum(self.recalls) / len(self.recalls)

    @property
    def p95(self) -> float:
        """In milliseconds."""
        return percentile(self.seconds, 0.95) * 1000


async def measure(store: str = "embedded", count: int = 200_000, folder: Path | None = None) -> list[Figure]:
    """Make the table; writes it with a plot where there is a folder."""
    target, corpus = TARGETS[store], Corpus(count)
    with tempfile.TemporaryDirectory() as temporary:
        async with target.open(Path(temporary)) as opened:
            collection = await _filled(opened, corpus)
            while not target.is_ready(opened, collection):  # noqa: ASYNC110  # the port does not tell of indexes
                await asyncio.sleep(0.2)
            planning = Planning(opened, refreshing := Refreshing(opened, OwnVersions()), target.thresholds, Telemetry())
            for field in FIELDS:
                planning.plan(collection, corpus.case(0, field, 0.5).where, None)
                await refreshing.settle()
            bare = await _unfiltered(opened, collection, corpus)
            rows = {part: await _part(opened, collection, corpus, planning, part) for part in FRACTIONS}
            order = await _operand_order(opened, collection, corpus)
    if folder:
        _write(folder, f"{store}, {count:,} passages", store, bare, rows)
    return _figures(bare, rows, order)


async def _part(
    store: Store, collection: Collection, corpus: Corpus, planning: Planning, fraction: float
) -> dict[bool, Runs]:
    """Measure one part with the planner (True) and without, in turn."""
    runs = {True: Runs([], []), False: Runs([], [])}
    random = Random(1)
    cases = [corpus.case(query, field, fraction) for query in range(len(corpus.asked)) for field in FIELDS]
    for case in cases * ROUNDS:
        for is_planned in random.sample((True, False), 2):
            start = time.perf_counter()
            where, exact = case.where, False
            if is_planned:
                planned = planning.plan(collection, case.where, None)
                where, exact = planned.where, planned.is_exact
            found = await store.nearest(collection, case.vector, DEPTH, where, exact=exact)
            runs[is_planned].seconds.append(time.perf_counter() - start)
            runs[is_planned].recalls.append(_recall(case, [match.id for match in found]))
    return runs


async def _unfiltered(store: Store, collection: Collection, corpus: Corpus) -> Runs:
    runs = Runs([], [])
    for turn in range(ROUNDS + 1):
        for query, vector in enumerate(corpus.asked):
            case = corpus.case(query, "rank", 1.0)
            start = time.perf_counter()
            found = await store.nearest(collection, vector, DEPTH, None)
            if turn:  # the first time around warms up
                runs.seconds.append(time.perf_counter() - start)
                runs.recalls.append(_recall(case, [match.id for match in found]))
    return runs


async def _operand_order(store: Store, collection: Collection, corpus: Corpus) -> float:
    """Return the median of most selective first by that of most selective last."""
    where = parse_filter({"tags": "t0.5", "side": {"lt": len(corpus.ids) // 100}}, FIELDS)
    if where is None:
        raise RuntimeError("there is a filter")
    seconds: dict[str, list[float]] = {"side": [], "tags": []}
    for vector in [*corpus.asked] * ROUNDS:
        for first, spent in seconds.items():
            ordered = Filter(tuple(sorted(where.conditions, key=lambda one: one.field != first)))  # used at once
            start = time.perf_counter()
            await store.nearest(collection, vector, DEPTH, ordered)
            spent.append(time.perf_counter() - start)
    return median(seconds["side"]) / median(seconds["tags"])


async def _filled(store: Store, corpus: Corpus) -> Collection:
    wanted = Collection(
        tenant="bench", name=f"s{token_hex(4)}", kind="documents", fields=dict(FIELDS), fingerprint="bench"
    )
    collection = await store.put_collection(wanted, None)
    if collection is None:
        raise RuntimeError("the collection exists")
    for first in range(0, len(corpus.ids), BATCH):
        await store.write(collection, corpus.documents(first, first + BATCH))
    entry = await store.collection(collection.tenant, collection.name)
    return entry or collection


def _figures(bare: Runs, rows: Mapping[float, Mapping[bool, Runs]], order: float) -> list[Figure]:
    figures = [
        Figure("unfiltered: recall@10", bare.recall, goal=0.95, is_least=True),
        Figure("unfiltered: p50", median(bare.seconds) * 1000, "ms"),
        Figure("unfiltered: p95", bare.p95, "ms"),
    ]
    for fraction, runs in rows.items():
        for is_planned, one in runs.items():
            name = f"{fraction:.2%} {'planned' if is_planned else 'as asked'}"
            figures += [
                Figure(f"{name}: recall@10", one.recall, goal=0.95 if is_planned else None, is_least=True),
                Figure(f"{name}: p50", median(one.seconds) * 1000, "ms"),
                Figure(f"{name}: p95", one.p95, "ms", goal=1.5 * bare.p95 if is_planned else None),
            ]
    return [*figures, Figure("most selective operand first, by last (p50)", order, "x")]


def _write(folder: Path, title: str, name: str, bare: Runs, rows: Mapping[float, Mapping[bool, Runs]]) -> None:
    """Write the table in Markdown, and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        (
            f"Vector leg under filters: {title}. Without a filter: recall@10 {bare.recall:.3f}, "
            f"p50 {median(bare.seconds) * 1000:.2f} ms, p95 {bare.p95:.2f} ms."
        ),
        "",
        "| part | recall@10 planned | as asked | p50 planned | as asked | p95 planned | as asked | p95 by unfiltered |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for fraction, runs in rows.items():
        ways = [runs[True], runs[False]]
        cells = [f"{one.recall:.3f}" for one in ways] + [f"{median(one.seconds) * 1000:.2f}" for one in ways]
        cells += [f"{one.p95:.2f}" for one in ways] + [f"{ways[0].p95 / bare.p95:.2f}"]
        lines.append(f"| {fraction:.2%} | {' | '.join(cells)} |")
    (folder / f"selectivity-{name}.md").write_text("\n".join([*lines, ""]))
    curves = {
        "planned": [(part, runs[True].p95) for part, runs in rows.items()],
        "as asked": [(part, runs[False].p95) for part, runs in rows.items()],
        "1.5 x unfiltered": [(part, 1.5 * bare.p95) for part in rows],
    }
    (folder / f"selectivity-{name}.svg").write_text(plot(f"p95, ms: {title}", curves))


def _recall(case: Case, found: Sequence[str]) -> float:
    return len(case.best.intersection(found[:TOP])) / len(case.best) if case.best else 1.0


def open_embedded(directory: Path) -> AbstractAsyncContextManager[Store]:
    """Open the embedded store."""
    return open_embedded_store(directory, dimensions=model().card.dimensions, index_at=INDEX_AT)


def is_indexed(store: Store, collection: Collection) -> bool:
    """Tell whether the embedded store has the index that it wants."""
    if not isinstance(store, EmbeddedStore):
        raise TypeError(store)
    live = store._live[collection.tenant, collection.name]  # noqa: SLF001  # the port does not tell of indexes
    return not live.is_indexing and not live.is_index_wanted(INDEX_AT)


@asynccontextmanager
async def open_weaviate(_: Path) -> AsyncIterator[Store]:
    """Run a Weaviate of one node."""
    with weaviate_server() as node:
        async with open_weaviate_store([node.url], [node.grpc_address], budget_seconds=30) as store:
            yield store


TARGETS: Final[Mapping[str, Target]] = {
    "embedded": Target(open_embedded, is_indexed, EMBEDDED),
    "weaviate": Target(open_weaviate, lambda *_: True, WEAVIATE),
}


def main() -> int:
    """Measure one store."""
    from rich.console import Console  # noqa: PLC0415  # `make bench` prints itself

    from scripts.bench.figures import table  # noqa: PLC0415  # the same

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=[*TARGETS], default="embedded")
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--write", type=Path, help="the folder for table and plot")
    given = parser.parse_args()
    Console(width=140).print(table(asyncio.run(measure(given.store, given.passages, given.write))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
