"""A measured figure beside its goal, and how figures are shown."""

import statistics
from collections.abc import Sequence

from msgspec import Struct
from rich.table import Table


class Figure(Struct, frozen=True):
    """One measurement; `goal` is an upper bound unless `is_least`."""

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    is_least: bool = False

    @property
    def is_missed(self) -> bool:
        """Whether the goal is not met."""
        if self.goal is None:
            return False
        return self.value < self.goal if self.is_least else self.value > self.goal


def table(figures: Sequence[Figure]) -> Table:
    """Lay figures out, a row each."""
    shown = Table("figure", "value", "unit", "goal", "")
    for figure in figures:
        goal = "" if figure.goal is None else f"{'>=' if figure.is_least else '<='} {figure.goal:g}"
        verdict = "" if figure.goal is None else "[red]short[/]" if figure.is_missed else "[green]met[/]"
        shown.add_row(figure.name, f"{figure.value:,.4g}", figure.unit, goal, verdict)
    return shown


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the value at a fraction of the sorted values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)
