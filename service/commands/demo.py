"""`retrieval demo`: the whole service on temporary data, answering questions about itself."""

import sys
import time
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.commands.batches import run_jobs
from service.commands.client import Client, RequestRefused, ServiceUnreachable
from service.commands.progress import Tally, print_failures
from service.commands.sources import find_sources
from service.commands.spreadsheets import Columns
from service.commands.temporary import ServiceDidNotStart, temporary_service
from service.commands.texts import printable
from service.commands.uploads import Target, jobs_for

PACKAGE = Path(__file__).parents[1]
FAQ = PACKAGE / "sample" / "faq.jsonl"
NUMBERS = ("score", "cold ms", "again ms")
NARROWEST = 60
SEARCHES = (
    "how are the two legs of a hybrid search combined",
    "which conditions can a filter hold",
    "where is the data kept on disk",
    "back up and restore the data directory",
    "what happens when a document is imported twice",
    "import a CSV file with my own columns",
    "how is text cut into passages",
    "set the log level",
    "Prometheus metrics for request latency",
    "why is there no torch in the core install",
    "recall of exact scan against the HNSW index",
    "context with citations for a prompt",
)
QUESTIONS = (
    "How can I make a backup of my data?",
    "How do I restore from a backup?",
    "Where does it store my data?",
    "How do I listen on a different port?",
    "Which embedding model is the default one?",
    "Do I need a GPU to run it?",
    "What happens when I import the same file twice?",
    "Can it import PDF files?",
    "How can I delete one document?",
    "How do I filter results by date?",
    "What is the meaning of status 422?",
    "Is Weaviate supported?",
)


class Asked(Struct, frozen=True):
    """A question, asked twice: what came first, and the service's own times in milliseconds."""

    question: str
    top: str
    score: float | None
    """None where nothing was found."""
    cold: float
    again: float


@click.command()
def demo() -> None:
    """Start the service on temporary data, import its own documentation and FAQ, and search them, cold then again.

    Nothing stays behind. Exits with 1 if a search finds nothing.
    """
    console = Console()
    start = time.monotonic()
    try:
        with temporary_service() as client:
            console.print(f"The service is ready after {time.monotonic() - start:.1f} s.", highlight=False)
            is_complete = all([_imported(client, "documents", console), _imported(client, "faq", console)])
            searches = ask_twice(client, "/search", "hits", SEARCHES)
            questions = ask_twice(client, "/faq/search", "answers", QUESTIONS)
    except (ServiceDidNotStart, ServiceUnreachable, RequestRefused) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    console.print(_table("POST /search", "first hit", searches, console.width))
    console.print(_table("POST /faq/search", "first entry", questions, console.width))
    asked = [*searches, *questions]
    answered = sum(one.score is not None for one in asked)
    summary = f"{answered} of {len(asked)} answered; all in {time.monotonic() - start:.1f} s. Now: make serve"
    console.print(summary, highlight=False)
    sys.exit(0 if is_complete and answered == len(asked) else 1)


def sample_documents() -> Path:
    """Return the folder of the product's documentation: in an installed wheel beside the code, else the checkout's."""
    packaged = PACKAGE / "sample" / "documents"
    return packaged if packaged.is_dir() else PACKAGE.parent / "docs"


def ask_twice(client: Client, path: str, found: str, questions: tuple[str, ...]) -> list[Asked]:
    """Ask all questions, then all of them again."""
    cold = [client.post(path, {"query": question}) for question in questions]
    again = [client.post(path, {"query": question}) for question in questions]
    return [
        _asked(question, first.data[found], first.milliseconds["total"], second.milliseconds["total"])
        for question, first, second in zip(questions, cold, again, strict=True)
    ]


def _asked(question: str, found: list[dict[str, Any]], cold: float, again: float) -> Asked:
    if not found:
        return Asked(question, "nothing", None, cold, again)
    top = found[0]
    return Asked(question, str(top.get("title") or top.get("question")), float(top["score"]), cold, again)


def _imported(client: Client, collection: str, console: Console) -> bool:
    is_faq = collection == "faq"
    sources = find_sources([FAQ if is_faq else sample_documents()], is_faq=is_faq)
    tally = Tally()
    for outcome in run_jobs(jobs_for(Target(client, collection, Columns(is_faq=is_faq)), sources.files, {})):
        tally.add(outcome)
    console.print(f"Imported into {collection}: {tally}, in {tally.seconds:.1f} s.", highlight=False)
    print_failures(console, tally)
    return not tally.counts["failures"]


def _table(title: str, first: str, asked: list[Asked], width: int) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    room = max(width, NARROWEST) - sum(len(name) + 2 for name in NUMBERS) - 6
    for name, share in (("query", 0.55), (first, 0.45)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=int(room * share))
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for one in asked:
        score = "-" if one.score is None else f"{one.score:.2f}"
        top = Text(printable(one.top))
        table.add_row(one.question, top, score, f"{one.cold:.1f}", f"{one.again:.1f}")
    return table
