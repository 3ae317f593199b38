"""A plot as SVG: a few curves over parts of a whole, both axes logarithmic, no library."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 360
MARGIN: Final = 56
COLOURS: Final = ("#1f6feb", "#d29922", "#8b949e")


def plot(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw curves of (part, value) points; all values are above 0."""
    parts = sorted({part for points in curves.values() for part, _ in points})
    values = [value for points in curves.values() for _, value in points]
    low, high = min(values), max(values)

    def across(part: float) -> float:
        return _place(part, parts[0], parts[-1], MARGIN, WIDTH - MARGIN)

    def up(value: float) -> float:
        return _place(value, low, high, HEIGHT - MARGIN, MARGIN)

    drawn = [_text(WIDTH / 2, 24, title, "middle")]
    drawn += [
        _text(across(part), HEIGHT - MARGIN + 24, f"{part:.4%}".rstrip("0%").rstrip(".") + " %", "middle")
        for part in parts
    ]
    drawn += [_text(MARGIN - 8, up(value), f"{value:.2f}", "end") for value in (low, high)]
    for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
        line = " ".join(f"{across(part):.1f},{up(value):.1f}" for part, value in points)
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(_text(WIDTH - MARGIN + 4, up(points[-1][1]) - 6, name, "end", colour))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'style="background:#fff;font:12px sans-serif"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *drawn, "</svg>", ""])


def _place(value: float, low: float, high: float, first: float, last: float) -> float:
    span = log10(high) - log10(low)
    return first + (last - first) * ((log10(value) - log10(low)) / span if span else 0.5)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#24292f") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
