"""Formats outcomes as a table, and as plots in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.sun.simulation import Outcome

_WIDTH, _HEIGHT, _LEFT, _TOP = 900, 260, 60, 30
_COLOURS = ("#0b6e4f", "#1f78b4", "#c44536", "#8e6c8a", "#e09f3e", "#555555")
HEADS = ("rule", "in time", "brown-outs", "h off", "h dark", "h < critical", "boots", "h worked", "Wh unused")


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a text table with a row for each rule."""
    rows = [HEADS, *map(_row, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(word.ljust(width) if not column else word.rjust(width) for column, (word, width) in enumerate(each))
        for each in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.name,
        f"{outcome.part:.1f} %",
        f"{outcome.brown_outs}",
        f"{outcome.off_h:,.0f}",
        f"{outcome.dark_h:,.0f}",
        f"{outcome.critical_h:,.0f}",
        f"{outcome.boots:,}",
        f"{outcome.worked_h:,.0f}",
        f"{outcome.spilled_wh:,.0f}",
    )


def months(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a plot of the percentage of jobs in time, with a group of bars for each month."""
    group = (_WIDTH - _LEFT) / 12
    bar = group * 0.8 / max(1, len(outcomes))
    parts = list[str]()
    for number, outcome in enumerate(outcomes):
        for month, (done, jobs) in enumerate(outcome.by_month):
            height = done / max(1, jobs) * _HEIGHT
            x, y = _LEFT + month * group + number * bar, _TOP + _HEIGHT - height
            colour = _COLOURS[number % len(_COLOURS)]
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" height="{height:.1f}" fill="{colour}"/>')
    return _svg(f"{title}: jobs in time, percent by month", parts, outcomes)


def charges(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a plot of the mean charge of each day, with a line for each rule."""
    parts = list[str]()
    for number, outcome in enumerate(outcomes):
        step = (_WIDTH - _LEFT) / max(1, len(outcome.daily))
        points = " ".join(
            f"{_LEFT + day * step:.1f},{_TOP + _HEIGHT * (1 - percent / 100):.1f}"
            for day, (percent, _) in enumerate(outcome.daily)
        )
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
    return _svg(f"{title}: mean charge of each day, percent", parts, outcomes)


def _svg(title: str, parts: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    lines = [
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{_TOP + _HEIGHT * (1 - percent / 100):.0f}" '
        f'y2="{_TOP + _HEIGHT * (1 - percent / 100):.0f}" stroke="#ccc"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + _HEIGHT * (1 - percent / 100) + 4:.0f}" text-anchor="end">{percent}</text>'
        for percent in (0, 25, 50, 75, 100)
    ]
    keys = [
        f'<text x="{_LEFT + 10}" y="{_TOP + _HEIGHT + 24 + 16 * number}" fill="{_COLOURS[number % len(_COLOURS)]}">'
        f"{escape(outcome.name)}: {outcome.part:.1f} %, {outcome.brown_outs} brown-outs</text>"
        for number, outcome in enumerate(outcomes)
    ]
    height = _TOP + _HEIGHT + 32 + 16 * len(outcomes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 10} {height}" font-family="sans-serif" '
        f'font-size="12"><text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>'
        f"{''.join(lines)}{''.join(parts)}{''.join(keys)}</svg>\n"
    )
