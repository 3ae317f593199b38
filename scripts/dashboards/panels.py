"""What a dashboard is, as plain values: rows of numbers and graphs, what they ask, and what to make of them."""

from typing import Literal

from msgspec import Struct

Unit = Literal["short", "percentunit", "s", "reqps", "ops", "bytes", "cores", "currencyUSD", "x"]
"""As Grafana calls them; `cores` and `x` are suffixes of our own."""


class Query(Struct, frozen=True):
    """What is asked of Prometheus, and how each series of the answer is called."""

    expression: str
    legend: str = ""
    """May hold `{{label}}`."""


class Lines(Struct, frozen=True):
    """From where on a value is worth a look (yellow), and from where on it is bad (red)."""

    warning: float
    critical: float

    @property
    def is_low_bad(self) -> bool:
        """Whether values below the lines are the bad ones."""
        return self.critical < self.warning


class Panel(Struct, frozen=True, kw_only=True):
    """One picture."""

    title: str
    about: str
    """What to look at, and where to go on."""
    queries: tuple[Query, ...]
    unit: Unit = "short"
    lines: Lines | None = None
    kind: Literal["graph", "number"] = "graph"
    is_stacked: bool = False
    most: float | None = None
    """The axis' end, where values have one."""
    words: tuple[tuple[str, str], ...] = ()
    """What values are called, for numbers that are states."""
    if_nothing: str = "no data"
    """What a number shows where its query returns nothing."""
    width: int = 8
    """Of 24."""


class Row(Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(Struct, frozen=True):
    """A page; its file and its address are called by its name."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> list[Panel]:
        """All panels, from the top."""
        return [panel for row in self.rows for panel in row.panels]


def graph(
    title: str,
    about: str,
    unit: Unit,
    *queries: Query,
    lines: Lines | None = None,
    width: int = 8,
    most: float | None = None,
    is_stacked: bool = False,
) -> Panel:
    """Return lines over time."""
    return Panel(
        title=title,
        about=about,
        unit=unit,
        queries=queries,
        lines=lines,
        width=width,
        most=most,
        is_stacked=is_stacked,
    )


def number(
    title: str,
    about: str,
    unit: Unit,
    query: Query,
    *,
    lines: Lines | None = None,
    words: tuple[tuple[str, str], ...] = (),
    if_nothing: str = "no data",
) -> Panel:
    """Return the last value in large letters, coloured by its lines."""
    return Panel(
        title=title,
        about=about,
        unit=unit,
        queries=(query,),
        lines=lines,
        words=words,
        if_nothing=if_nothing,
        kind="number",
        width=4,
    )
