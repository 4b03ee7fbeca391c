"""Computes times and energy along a forecast: when the sun is back, and when the battery holds enough.

Times are epoch seconds. With `low`, the lower bound of the forecast is used, else its middle.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.power.forecast.outlook import Outlook, Step


def parts(outlook: Outlook, first: float, last: float) -> Iterator[tuple[float, float, Step]]:
    """Yield (begin, length in hours, step) for each step, or part of a step, between two times."""
    for number, step in enumerate(outlook.steps):
        at = outlook.start + number * outlook.step_s
        begin, end = max(first, at), min(last, at + outlook.step_s)
        if end > begin:
            yield begin, (end - begin) / 3600, step


def watts(outlook: Outlook, at: float, *, low: bool = False) -> float:
    """Return the expected watts of the panel at a time; 0 outside the forecast."""
    number = int((at - outlook.start) // outlook.step_s)
    if not 0 <= number < len(outlook.steps):
        return 0.0
    return outlook.steps[number].low if low else outlook.steps[number].mid


def energy_wh(outlook: Outlook, first: float, last: float, *, low: bool = False) -> float:
    """Return the watt-hours that the panel is expected to give between two times."""
    return sum(hours * (step.low if low else step.mid) for _, hours, step in parts(outlook, first, last))


def sun_at(outlook: Outlook, now: float, draw_w: float) -> float | None:
    """Return the first time from now at which the panel is expected to give `draw_w`, or None if the forecast has none.

    In a polar night, or with a weak panel, the end of the forecast is not the time at which the sun is back.
    """
    return next((at for at, _, step in parts(outlook, now, outlook.end) if step.mid >= draw_w), None)


def dusk(outlook: Outlook, now: float, draw_w: float) -> float:
    """Return the next time at which the expected power falls below `draw_w` after it reached this value.

    Return the end of the forecast if there is no such time.
    """
    seen = False
    for at, _, step in parts(outlook, now, outlook.end):
        seen = seen or step.mid >= draw_w
        if seen and step.mid < draw_w:
            return at
    return outlook.end


def reaches(outlook: Outlook, now: float, needed_wh: float, draw_w: float) -> float | None:
    """Return when the battery has gained `needed_wh` while the board draws `draw_w`, or None if it never does."""
    stored = 0.0
    for at, hours, step in parts(outlook, now, outlook.end):
        gained = (step.mid - draw_w) * hours
        if gained > 0 and stored + gained >= needed_wh:
            return at + max(0.0, needed_wh - stored) / gained * hours * 3600
        stored += gained
    return None
