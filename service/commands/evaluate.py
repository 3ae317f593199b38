"""`retrieval evaluate`: judged queries against a running service, how good its answers are and how quick."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import rich_click as click
from msgspec import Meta, Struct
from rich.console import Console
from rich.progress import track
from rich.table import Table

from service.commands import measures
from service.commands.client import Client, talks_to_service
from service.commands.lines import Failure, read_lines

MODES = ("hybrid", "vector", "keyword")


class JudgedQuery(Struct, frozen=True):
    """A line of the file of queries."""

    query: str
    relevant: dict[str, Annotated[float, Meta(ge=0)]]
    """Document id to grade."""
    id: str | int | None = None


class Latency(Struct, frozen=True):
    """Of the requests, as seen here, in milliseconds."""

    p50: float
    p95: float
    p99: float


class Evaluation(Struct, frozen=True):
    """The measures of one mode, each the mean over the queries."""

    mode: str
    queries: int
    k: int
    recall: float
    ndcg: float
    mrr: float
    latency_ms: Latency


@click.command()
@click.argument("queries", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-c", "--collection", required=True, help="Where to search.")
@click.option(
    "--mode",
    "modes",
    type=click.Choice(MODES),
    multiple=True,
    default=["hybrid"],
    show_default=True,
    help="Which legs; may be given several times, to compare.",
)
@click.option("--alpha", type=click.FloatRange(0, 1), help="Weight of the vector leg in hybrid mode.  [default: 0.7]")
@click.option("--fusion", type=click.Choice(["relative", "rrf"]), help="How legs are joined.  [default: relative]")
@click.option("-k", "--k", type=click.IntRange(1), default=10, show_default=True, help="Documents that count.")
@click.option(
    "--limit",
    type=click.IntRange(1, 50),
    default=50,
    show_default=True,
    help="Passages to ask for; several may be of one document.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
@talks_to_service
def evaluate(
    client: Client,
    *,
    queries: Path,
    collection: str,
    modes: tuple[str, ...],
    k: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure the search quality of a collection over judged queries, one search after the other.

    QUERIES holds lines `{"query": "...", "relevant": {"document id": grade}}`. Passages count as their document, at
    its best rank. recall and nDCG are over the first k documents (nDCG's gain is the grade), MRR over all returned;
    queries without a relevant document are left out. Latency is that of the request, as seen here; nothing comes from a
    cache.
    """
    judged = [query for query in read_queries(queries) if any(query.relevant.values())]
    if not judged:
        raise click.UsageError(f"{queries} holds no query with a relevant document.")
    body = {name: value for name, value in options.items() if value is not None} | {"collection": collection}
    # The first request pays for the connection, and may be refused: not part of what is measured.
    client.post("/search", body | {"query": judged[0].query})
    results = [_measured(client, judged, body | {"mode": mode}, k) for mode in modes]
    if as_json:
        sys.stdout.write(msgspec.json.encode({"collection": collection, "results": results}).decode() + "\n")
    else:
        Console().print(_table(collection, results))


def read_queries(path: Path) -> Iterator[JudgedQuery]:
    """Read judged queries; raises click.UsageError naming the line that is none."""
    for line in read_lines(path):
        if isinstance(line, Failure):
            raise click.UsageError(f"{path}:{line.line}: {line.error}")
        try:
            yield msgspec.json.decode(line.data, type=JudgedQuery)
        except ValueError as error:
            raise click.UsageError(f"{path}:{line.line}: {error}") from None


def _measured(client: Client, judged: list[JudgedQuery], body: dict[str, Any], k: int) -> Evaluation:
    rankings: list[list[str]] = []
    milliseconds: list[float] = []
    console = Console(stderr=True)
    for query in track(judged, body["mode"], console=console, transient=True, disable=not console.is_terminal):
        start = time.perf_counter()
        answer = client.post("/search", body | {"query": query.query}, is_cached=False)
        milliseconds.append((time.perf_counter() - start) * 1000)
        rankings.append(measures.first_ranks(hit["document_id"] for hit in answer.data["hits"]))
    pairs = [(ranking, query.relevant) for ranking, query in zip(rankings, judged, strict=True)]
    return Evaluation(
        mode=body["mode"],
        queries=len(judged),
        k=k,
        recall=measures.mean([measures.recall(ranking, grades, k) for ranking, grades in pairs]),
        ndcg=measures.mean([measures.ndcg(ranking, grades, k) for ranking, grades in pairs]),
        mrr=measures.mean([measures.reciprocal_rank(ranking, grades) for ranking, grades in pairs]),
        latency_ms=Latency(*(measures.percentile(milliseconds, percent) for percent in (50, 95, 99))),
    )


def _table(collection: str, results: list[Evaluation]) -> Table:
    k, count = results[0].k, results[0].queries
    table = Table(title=f"{collection}, {count} queries", title_justify="left")
    for name in ("mode", f"recall@{k}", f"nDCG@{k}", "MRR", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "mode" else "right")
    for result in results:
        times = (result.latency_ms.p50, result.latency_ms.p95, result.latency_ms.p99)
        scores = (result.recall, result.ndcg, result.mrr)
        table.add_row(
            result.mode,
            *(f"{score:.3f}" for score in scores),
            *(f"{duration:.1f}" for duration in times),
        )
    return table
