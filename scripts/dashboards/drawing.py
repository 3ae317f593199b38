"""Draws a dashboard as SVG, about as Grafana would show it. Nothing else knows matplotlib."""

import math
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator
from msgspec import Struct

from scripts.dashboards.panels import Dashboard, Lines, Panel, Row, Unit

COLUMNS: Final = 24
WIDTH_INCHES: Final = 16.0
LINE_INCHES: Final = 0.33
"""Height of a line of the grid."""
HEAD_LINES: Final = 1.6
HEIGHT_LINES: Final = {"graph": 9.0, "number": 3.0}
GREEN, YELLOW, RED, PLAIN = "#2f8f4e", "#d9822b", "#c4314b", "#f2f3f5"
SERIES: Final = ("#3274d9", "#e0752d", "#299c46", "#8f3bb8", "#d44a3a", "#0a8f8f", "#b8860b", "#7a7a7a")
MOST_NAMES: Final = 8
"""In a legend."""
LETTERS_OF_A_COLUMN: Final = 13
"""That fit below a column of the grid."""
LETTERS_OF_A_LINE: Final = 9
"""That the line before a name takes."""
SCALES: Final[dict[Unit, tuple[tuple[float, str], ...]]] = {
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    "percentunit": ((0.01, "%"),),
    "reqps": ((1, "req/s"),),
    "ops": ((1, "/s"),),
    "cores": ((1, "cores"),),
    "currencyUSD": ((1, "$"),),
    "x": ((1, "x"),),
    "short": ((1e6, "M"), (1e4, "k"), (1, "")),
}


CLOSE: Final = {"", "%", "x", "M", "k"}
"""Units without a space before them."""


class Series(Struct, frozen=True):
    """One line: its name, and its points as seconds and values."""

    name: str
    points: list[tuple[float, float]]


Answers = Mapping[int, Sequence[Series]]
"""What each panel of a dashboard shows, by its place."""


def draw(page: Dashboard, answers: Answers, path: Path) -> None:
    """Draw all panels of a page into a file."""
    heights = [HEAD_LINES + HEIGHT_LINES[row.panels[0].kind] for row in page.rows]
    total = sum(heights)
    fonts: dict[Any, Any] = {"font.size": 8, "font.sans-serif": ["DejaVu Sans"], "text.parse_math": False}
    with mpl.rc_context(fonts | {"svg.fonttype": "none", "svg.hashsalt": page.name}):
        figure = Figure(figsize=(WIDTH_INCHES, total * LINE_INCHES))
        top, place = total, 0
        for row, height in zip(page.rows, heights, strict=True):
            figure.text(0.01, (top - 0.8) / total, row.title, fontsize=11, fontweight="bold")
            _draw_row(figure, row, answers, place, (top - HEAD_LINES + 0.3) / total, total)
            top -= height
            place += len(row.panels)
        latest = max((time for series in answers.values() for one in series for time, _ in one.points), default=1)
        for axes in figure.axes:
            axes.set_xlim(0, latest)
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(_shortened(written.getvalue()))


def formatted(value: float, unit: Unit) -> str:
    """Return a value as people write it."""
    scales = SCALES[unit]
    factor, name = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    if not value:
        return "0"
    scaled = value / factor
    digits = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{digits}{'' if name in CLOSE else ' '}{name}"


def _shortened(svg: str) -> str:
    """Return a drawing whose places are good to a tenth of a point, without indents: half as long."""
    svg = re.sub(r"^ +|[ \t]+$", "", svg, flags=re.MULTILINE)
    return re.sub(r'="[^"]*"', lambda place: re.sub(r"(\d\.\d)\d+", r"\1", place[0]), svg)


def _draw_row(figure: Figure, row: Row, answers: Answers, place: int, top: float, total: float) -> None:
    left = 0
    for number, panel in enumerate(row.panels, place):
        height = HEIGHT_LINES[panel.kind] / total
        if panel.kind == "number":
            box = (left / COLUMNS + 0.006, top - height, panel.width / COLUMNS - 0.012, height * 0.9)
            _draw_number(figure.add_axes(box), panel, answers[number])
        else:
            box = (left / COLUMNS + 0.045, top - height * 0.72, panel.width / COLUMNS - 0.06, height * 0.6)
            _draw_graph(figure.add_axes(box), panel, answers[number])
        left += panel.width


def _draw_number(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    value = series[0].points[-1][1] if series else None
    background = PLAIN if value is None or panel.lines is None else _color(value, panel.lines)
    text = panel.if_nothing if value is None else dict(panel.words).get(f"{value:g}", formatted(value, panel.unit))
    axes.set_facecolor(background)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    ink = "black" if background == PLAIN else "white"
    axes.text(0.5, 0.8, panel.title, ha="center", va="center", color=ink, transform=axes.transAxes)
    axes.text(0.5, 0.36, text, ha="center", va="center", color=ink, fontsize=18, transform=axes.transAxes)


def _draw_graph(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.set_title(panel.title, loc="left", fontsize=9)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.is_stacked and series:
        _stack(axes, series)
    else:
        for number, one in enumerate(series):
            color = SERIES[number % len(SERIES)]
            axes.plot(*zip(*_with_gaps(one.points), strict=True), color=color, linewidth=1.3, label=one.name)
    _set_limits(axes, panel, series)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formatted(value, panel.unit)))
    axes.yaxis.set_major_locator(_locator(panel.unit, axes.get_ylim()[1]))
    if series:
        handles, names = axes.get_legend_handles_labels()
        longest = max(len(one.name) for one in series) + LETTERS_OF_A_LINE
        columns = max(1, min(4, panel.width * LETTERS_OF_A_COLUMN // longest))
        shown = handles[:MOST_NAMES], names[:MOST_NAMES]
        axes.legend(*shown, loc="upper left", bbox_to_anchor=(-0.05, -0.14), ncol=columns, frameon=False, fontsize=7)


def _with_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points so that no line bridges a time without values, as Grafana draws none."""
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(points)]
    gaps = [
        (time + min(steps), math.nan) for (time, _), step in zip(points, steps, strict=False) if step > 1.5 * min(steps)
    ]
    return sorted([*points, *gaps])


def _stack(axes: Axes, series: Sequence[Series]) -> None:
    times = sorted({time for one in series for time, _ in one.points})
    values = [dict(one.points) for one in series]
    heights = [[one.get(time, 0.0) for time in times] for one in values]
    axes.stackplot(times, *heights, labels=[one.name for one in series], colors=SERIES, alpha=0.7)


def _set_limits(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    highest = panel.most or max((value for one in series for _, value in one.points), default=0) or 1
    top = axes.get_ylim()[1] if panel.is_stacked else highest * 1.08
    axes.set_ylim(0, top)
    if panel.lines:
        for value, color in ((panel.lines.warning, YELLOW), (panel.lines.critical, RED)):
            if value <= top:
                axes.axhline(value, color=color, linewidth=0.9, linestyle="--")


def _locator(unit: Unit, top: float) -> Locator:
    """Return which values are marked: four or so, of bytes by powers of two."""
    return MultipleLocator(2 ** math.ceil(math.log2(top / 5))) if unit == "bytes" else MaxNLocator(5)


def _color(value: float, lines: Lines) -> str:
    if lines.is_low_bad:
        return RED if value < lines.critical else YELLOW if value < lines.warning else GREEN
    return RED if value >= lines.critical else YELLOW if value >= lines.warning else GREEN
