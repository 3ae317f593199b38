"""How far an import is: a bar on a terminal, a line now and then elsewhere, and a table at the end."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from service.commands.batches import Outcome
from service.commands.lines import Failure
from service.commands.texts import printable

MOST_FAILURES = 100
SECONDS_BETWEEN_LINES = 5.0


class Tally(Struct):
    """What became of the import so far."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    """The first MOST_FAILURES; all are counted."""
    read: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Add what became of one request."""
        self.counts.update(outcome.counts)
        self.failures += outcome.failures[: MOST_FAILURES - len(self.failures)]
        self.read = max(self.read, outcome.read)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def __str__(self) -> str:
        """Return a line for people."""
        failed = f", {self.counts['failures']:,} failed" if self.counts["failures"] else ""
        return f"{self.counts['received']:,} received, {self.counts['passages']:,} passages{failed}"


class Display:
    """Shows a tally while it grows."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = max(total, 1)
        self._shown = time.monotonic()
        self.bar = Progress(
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.description}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self.bar.add_task("", total=self._total)

    def show(self, tally: Tally) -> None:
        """Bring what is seen up to date."""
        if self._console.is_terminal:
            self.bar.update(self._task, completed=tally.read, description=str(tally))
        elif time.monotonic() - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = time.monotonic()
            self._console.print(f"{tally.read / self._total:4.0%}  {tally}", highlight=False)


@contextmanager
def displayed(console: Console, total: int) -> Iterator[Display]:
    """Show the progress of an import of `total` bytes."""
    display = Display(console, total)
    if not console.is_terminal:
        yield display
        return
    with display.bar:
        yield display


def print_summary(console: Console, collection: str, tally: Tally, skipped: int) -> None:
    """Print the counts as a table."""
    title = f"Import into {collection}"
    table = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
    table.add_column()
    table.add_column(justify="right")
    for name in ("received", "created", "updated", "unchanged", "superseded", "passages"):
        table.add_row(name, f"{tally.counts[name]:,}")
    table.add_row("failed", f"{tally.counts['failures']:,}")
    if skipped:
        table.add_row("files of other kinds, skipped", f"{skipped:,}")
    table.add_row("seconds", f"{tally.seconds:.1f}")
    console.print(table)


def print_failures(console: Console, tally: Tally) -> None:
    """Print each failed line as `file:line: reason`."""
    for failure in tally.failures:
        place = failure.source if failure.line is None else f"{failure.source}:{failure.line}"
        identifier = f" ({failure.id})" if failure.id and failure.line is not None else ""
        text = printable(f"{place}{identifier}: {failure.error}")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if more := tally.counts["failures"] - len(tally.failures):
        console.print(f"and {more:,} more", highlight=False)
