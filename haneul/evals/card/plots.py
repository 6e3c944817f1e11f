"""Small plots as inline SVG, without a library: intervals, truth against value, confusion. Colours are CSS variables of
the page, so they follow its light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import numpy as np

WIDTH: Final = 680
LABEL: Final = 190  #: pixels for the names on the left
VALUE: Final = 170  #: pixels for the figures on the right
ROW: Final = 22
#: Names that always have the same colour; models take the numbered ones by turns.
FIXED: Final = {"renders": "--renders", "another run": "--run", "a still": "--still"}
MODELS: Final = 6


def color(name: str, models: Sequence[str]) -> str:
    """The CSS variable of a name's colour."""
    return FIXED.get(name) or f"--model{list(models).index(name) % MODELS}"


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}" if abs(value) >= 5e-5 else "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 3)}f}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within a span."""
    raw = (high - low) / count or 1.0
    power = 10 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _svg(width: float, height: float, body: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><title>{escape(title)}</title>{body}</svg>'
    )


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of an interval plot: a figure with its interval, and the single values behind it."""

    name: str
    color: str
    figure: dict[str, Any]
    values: Sequence[float] = field(default=())


def _span(lines: Sequence[Line], truth: Sequence[float], bounds: tuple[float, float] | None) -> tuple[float, float]:
    """What the axis shows: figures, the truth, and most of the values."""
    if bounds is not None:
        return bounds
    held = [*truth]
    for line in lines:
        held += [v for v in (line.figure.get(k) for k in ("value", "low", "high")) if v is not None]
        if len(line.values):
            held += list(np.percentile(line.values, (10, 90)))
    low, high = (min(held), max(held)) if held else (0.0, 1.0)
    if truth:  # a figure that is far off must not hide how near the others are
        middle, reach = (
            float(np.median(truth)),
            4 * max(float(np.ptp(truth)), 0.25 * abs(float(np.median(truth))), 1e-3),
        )
        low, high = max(low, middle - reach), min(high, middle + reach)
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def intervals(
    lines: Sequence[Line],
    *,
    title: str,
    truth: Sequence[float] = (),
    bounds: tuple[float, float] | None = None,
    percent: bool = False,
) -> str:
    """Figures with their intervals over one axis; the truth is a band from its 5th to its 95th percentile. What lies
    beyond the axis is put at its end, as a triangle."""
    low, high = _span(lines, truth, bounds)
    left, right = LABEL, WIDTH - VALUE

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    height = ROW * len(lines) + 24
    body = []
    for tick in ticks(low, high):
        x: float = at(tick)
        label = f"{100 * tick:g}%" if percent else f"{tick:g}"
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}" class="grid"/>')
        body.append(f'<text x="{x:.1f}" y="{height - 6}" class="tick">{label}</text>')
    if len(truth):
        start, stop = (at(v) for v in np.percentile(truth, (5, 95)))
        wide = max(2.0, stop - start + 2)
        body.append(f'<rect x="{start - 1:.1f}" y="0" width="{wide:.1f}" height="{height - 20}" class="truth"/>')
    for k, line in enumerate(lines):
        y = ROW * k + ROW / 2
        paint = f"var({line.color})"
        body.append(f'<text x="{left - 8}" y="{y + 4:.1f}" class="name">{escape(line.name)}</text>')
        for i, value in enumerate(line.values):
            dodge = y + 5 * ((i * 0.618) % 1 - 0.5)
            if low <= value <= high:
                body.append(f'<circle cx="{at(value):.1f}" cy="{dodge:.1f}" r="2" fill="{paint}" opacity=".4"/>')
            else:
                edge, turn = at(value), 3 if value > high else -3
                body.append(f'<path d="M{edge:.1f} {dodge - 3:.1f}l{turn} 3l{-turn} 3z" fill="{paint}" opacity=".5"/>')
        centre, a, b = (line.figure.get(key) for key in ("value", "low", "high"))
        told = "not read"
        if centre is not None and a is not None and b is not None:
            body.append(
                f'<line x1="{at(a):.1f}" x2="{at(b):.1f}" y1="{y}" y2="{y}" stroke="{paint}" stroke-width="2.5"/>'
            )
            body.append(f'<circle cx="{at(centre):.1f}" cy="{y}" r="4.5" fill="{paint}" class="dot"/>')
            told = " ".join(interval(line.figure, percent))
        body.append(f'<text x="{right + 10}" y="{y + 4:.1f}" class="figure">{told}</text>')
    return _svg(WIDTH, height, "".join(body), title)


def interval(figure: dict[str, Any], percent: bool = False) -> tuple[str, str]:
    """A figure and its interval in words: ("9.8", "(9.5 to 10.1)")."""
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if value is None:
        return "–", ""
    whole = low is not None and high is not None
    if percent:
        return f"{100 * value:.0f}%", f"({100 * low:.0f} to {100 * high:.0f})" if whole else ""  # type: ignore[operator]
    return number(value), f"({number(low)} to {number(high)})" if whole else ""


def scatter(series: dict[str, tuple[str, Sequence[Sequence[float]]]], *, title: str, unit: str) -> str:
    """Value against truth, a point for each set-up; on the line they agree. `series`: name -> (colour, pairs)."""
    side, edge = 250, 40
    truths = [t for _, pairs in series.values() for t, _ in pairs]
    if not truths:
        return ""
    low, high = min(truths), max(truths)
    room = 0.6 * (high - low) or 0.5
    low, high = low - room, high + room

    def at(value: float) -> float:
        return (min(max(value, low), high) - low) / (high - low) * (side - edge - 8)

    body = []
    for tick in ticks(low, high, 4):
        x, y = edge + at(tick), side - edge - at(tick)
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{side - edge}" class="grid"/>')
        body.append(f'<line x1="{edge}" x2="{side - 8}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        body.append(f'<text x="{x:.1f}" y="{side - edge + 14}" class="tick">{tick:g}</text>')
        body.append(f'<text x="{edge - 4}" y="{y + 3:.1f}" class="name small">{tick:g}</text>')
    body.append(f'<line x1="{edge}" y1="{side - edge}" x2="{side - 8}" y2="8" class="agree"/>')
    for paint, pairs in series.values():
        for t, v in pairs:
            where = f'cx="{edge + at(t):.1f}" cy="{side - edge - at(v):.1f}"'
            body.append(f'<circle {where} r="3" fill="var({paint})" opacity=".7"/>')
    axis = f"simulator, {unit}" if unit else "simulator"
    body.append(f'<text x="{(side + edge) / 2}" y="{side - 8}" class="tick">{escape(axis)}</text>')
    return _svg(side, side, "".join(body), title)


def confusion(table: Sequence[Sequence[int]], names: Sequence[str], *, title: str) -> str:
    """Counts of what was read (columns) where something was said (rows), shaded by the share of the row; only rows and
    columns where there is anything."""
    counts = np.array(table)
    rows = np.flatnonzero(counts.sum(1))
    columns = np.flatnonzero(counts.sum(0) + counts.sum(1))
    if not len(rows):
        return ""
    cell, left, top = 24, 118, 96
    body = []
    for i, r in enumerate(rows):
        y = top + cell * i
        body.append(f'<text x="{left - 6}" y="{y + 16}" class="name small">{escape(names[int(r)])}</text>')
        for j, c in enumerate(columns):
            x, share = left + cell * j, counts[r, c] / counts[r].sum()
            paint = "--right" if r == c else "--wrong"
            body.append(f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" class="cell"/>')
            if counts[r, c]:
                body.append(
                    f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="var({paint})" '
                    f'opacity="{0.15 + 0.85 * share:.2f}"/><text x="{x + cell / 2}" y="{y + 16}" class="count">'
                    f"{counts[r, c]}</text>"
                )
    for j, c in enumerate(columns):
        middle = left + cell * j + cell / 2
        turn = f'transform="translate({middle + 4} {top - 6}) rotate(-50)"'
        body.append(f'<text {turn} class="slant">{escape(names[int(c)])}</text>')
    return _svg(left + cell * len(columns) + 70, top + cell * len(rows) + 4, "".join(body), title)
