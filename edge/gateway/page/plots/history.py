"""Makes the plots of a board from its series: charge, power state, watts, temperature, jobs and backlog."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edge.gateway.page.plots import marks
from edge.gateway.page.plots.figure import Figure, Legend, Table, picture
from edge.gateway.page.plots.frame import Frame, frame_of
from edge.gateway.page.plots.svg import Svg
from edge.gateway.page.plots.words import NOTHING, amount, clock, day, lasting, moment
from edge.model import PowerState
from edge.wire import SeriesPoint, SeriesView

#: Height of the block of each state. A better state has a higher block, so the plot can be read without colours.
_HEIGHTS = {
    PowerState.SURPLUS: 5,
    PowerState.NORMAL: 4,
    PowerState.PAUSED: 3,
    PowerState.LOW: 2,
    PowerState.CRITICAL: 1,
    PowerState.UNKNOWN: 1,
}
_STATE_TICKS = [(5.0, "surplus"), (4.0, "normal"), (3.0, "paused"), (2.0, "low"), (1.0, "critical, unknown")]
_ROW_S = {900.0: 3600.0}
_DAY_S = 86_400.0
_MONTH_STEP_S = 3600.0
_NO_SOURCE = "No power source of this board measures this, or nothing is recorded yet."


def history(series: SeriesView) -> tuple[Figure, ...]:
    """Return the plots of a series, in the order in which the page shows them. An empty series has no plots."""
    if not series.points:
        return ()
    return (
        charge(series),
        state(series),
        watts(series),
        temperature(series),
        jobs(series),
        backlog(series),
    )


def charge(series: SeriesView) -> Figure:
    """Return the plot of the battery's charge, with bands for the pause and resume thresholds."""
    values = [point.charge for point in series.points]
    frame = Frame(series.points[0].at, series.step_s, len(values), 0.0, 100.0, "%")
    ticks = [(0.0, "0 %"), (50.0, "50 %"), (100.0, "100 %")]
    pause, resume = series.pause_percent, series.resume_percent
    parts = list[str]()
    legend = [Legend("plot-line-a", "charge")]
    words = ""
    if pause is not None and resume is not None:
        parts += [frame.band(0.0, pause, "plot-pause"), frame.band(pause, resume, "plot-between")]
        words = f" Work pauses at {amount(pause, '%')} and goes on at {amount(resume, '%')}."
        legend += [
            Legend("plot-pause", f"work pauses: {amount(pause, '%')} and less"),
            Legend("plot-between", f"stays as it was, up to {amount(resume, '%')}"),
        ]
    parts += [frame.grid(ticks), marks.line(frame, values, "plot-line plot-line-a"), frame.labels(ticks)]
    return _figure(
        *("charge", "Charge of the battery", series, values, "%"),
        parts=parts,
        legend=legend,
        words=words,
        columns=[("Charge", lambda points: amount(_mean([each.charge for each in points]), "%"))],
    )


def watts(series: SeriesView) -> Figure:
    """Return the plot of the watts that the board uses, and of those that the solar panel gives."""
    used = [point.watts for point in series.points]
    solar = [point.solar_watts for point in series.points]
    frame, ticks = frame_of([*used, *solar], first=series.points[0].at, step_s=series.step_s, unit="W")
    frame = msgspec.structs.replace(frame, count=len(used))
    legend, columns = list[Legend](), list[tuple[str, Callable[[Sequence[SeriesPoint]], str]]]()
    for values, mark, text, name in (
        (used, "plot-line-a", "used", "watts"),
        (solar, "plot-line-b", "from the sun", "solar_watts"),
    ):
        if any(value is not None for value in values):
            legend.append(Legend(mark, text))
            columns.append((text.capitalize(), _mean_of(name, "W")))
    parts = [
        frame.grid(ticks),
        marks.line(frame, solar, "plot-line plot-line-b"),
        marks.line(frame, used, "plot-line plot-line-a"),
        frame.labels(ticks),
    ]
    shown = used if any(value is not None for value in used) else solar
    return _figure(
        *("watts", "Power", series, shown, "W"),
        parts=parts,
        legend=legend,
        columns=columns or [("Power", _mean_of("watts", "W"))],
    )


def temperature(series: SeriesView) -> Figure:
    """Return the plot of the board's temperature."""
    values = [point.temperature for point in series.points]
    frame, ticks = frame_of(values, first=series.points[0].at, step_s=series.step_s, unit="°C", least=60.0)
    parts = [frame.grid(ticks), marks.line(frame, values, "plot-line plot-line-a"), frame.labels(ticks)]
    return _figure(
        *("temperature", "Temperature", series, values, "°C"),
        parts=parts,
        columns=[("Temperature", _mean_of("temperature", "°C"))],
    )


def state(series: SeriesView) -> Figure:
    """Return the plot of the power state that the governor decided, as blocks that are higher for a better state."""
    states = [_state_of(point) for point in series.points]
    first, step_s = series.points[0].at, series.step_s
    frame = Frame(first, step_s, len(states), 0.0, 5.5)
    blocks = [
        marks.blocks(
            *(frame, begin, end, _HEIGHTS[PowerState(each)], f"plot-state plot-{each}"),
            f"{each}: {moment(first + begin * step_s)} to {moment(first + end * step_s)}",
        )
        for begin, end, each in marks.runs_of(states)
    ]
    sums = {each: sum(point.seconds.get(each, 0.0) for point in series.points) for each in PowerState}
    known = [f"{each} {lasting(seconds)}" for each, seconds in sums.items() if seconds >= 30]
    summary = f"{_span(series)}: {', '.join(known)}." if known else _NO_SOURCE
    title = "State of power"
    columns = [
        (str(each).capitalize(), _time_in(each)) for each in PowerState if sums[each] >= 30 or each is PowerState.NORMAL
    ]
    parts = [frame.grid(_STATE_TICKS), *blocks, frame.labels(_STATE_TICKS, "plot-value plot-level")]
    return Figure(
        *("state", title, summary),
        picture("state", title, summary, parts) if known else Svg(""),
        _table(title, series, columns),
        tuple(Legend(f"plot-{each}", str(each)) for each in PowerState if sums[each] >= 30),
    )


def jobs(series: SeriesView) -> Figure:
    """Return the plot of jobs: started ones next to ended ones, with failures on top. In a month a bar is a day."""
    per_bar = 1 if series.step_s < _MONTH_STEP_S else max(1, round(_DAY_S / series.step_s))
    groups = [series.points[at : at + per_bar] for at in range(0, len(series.points), per_bar)]
    started = [float(sum(point.started for point in group)) for group in groups]
    good = [float(sum(point.succeeded for point in group)) for group in groups]
    cancelled = [float(sum(point.cancelled for point in group)) for group in groups]
    failed = [float(sum(point.failed for point in group)) for group in groups]
    on_good = [a + b for a, b in zip(good, cancelled, strict=True)]
    ended = [a + b for a, b in zip(on_good, failed, strict=True)]
    step_s = series.step_s * per_bar
    frame, ticks = frame_of([*started, *ended], first=series.points[0].at, step_s=step_s, least=3.0)
    frame = msgspec.structs.replace(frame, count=len(groups))
    parts = [
        frame.grid(ticks),
        marks.bars(frame, started, "plot-bar plot-started", share=0.45),
        marks.bars(frame, good, "plot-bar plot-succeeded", left=0.5, share=0.5),
        marks.bars(frame, cancelled, "plot-bar plot-cancelled", below=good, left=0.5, share=0.5),
        marks.bars(frame, failed, "plot-bar plot-failed", below=on_good, left=0.5, share=0.5),
        frame.labels(ticks),
    ]
    title = "Jobs started and ended"
    summary = (
        f"{_span(series)}: {sum(started):.0f} started, {sum(good):.0f} succeeded, {sum(failed):.0f} failed, "
        f"{sum(cancelled):.0f} were cancelled."
    )
    columns = [(name.capitalize(), _sum_of(name)) for name in ("started", "succeeded", "failed", "cancelled")]
    legend = [Legend("plot-started", "started"), Legend("plot-succeeded", "succeeded")]
    legend += [Legend("plot-cancelled", "cancelled")] if sum(cancelled) else []
    legend += [Legend("plot-failed", "failed")] if sum(failed) else []
    return Figure(
        *("jobs", title, summary),
        picture("jobs", title, summary, parts),
        _table(title, series, columns),
        tuple(legend),
    )


def backlog(series: SeriesView) -> Figure:
    """Return the plot of the backlog: the largest number of open jobs in each step."""
    values = [None if point.backlog is None else float(point.backlog) for point in series.points]
    frame, ticks = frame_of(values, first=series.points[0].at, step_s=series.step_s, least=3.0)
    parts = [frame.grid(ticks), marks.area(frame, values, "plot-area plot-line-a"), frame.labels(ticks)]
    return _figure(
        *("backlog", "Jobs that wait or run", series, values, ""),
        parts=parts,
        columns=[
            (
                "At most",
                lambda points: amount(max((each.backlog for each in points if each.backlog is not None), default=None)),
            )
        ],
    )


# ---- shared by all plots ----

_Column = tuple[str, Callable[[Sequence[SeriesPoint]], str]]


def _figure(
    name: str,
    title: str,
    series: SeriesView,
    values: Sequence[float | None],
    unit: str,
    *,
    parts: Sequence[str],
    columns: Sequence[_Column],
    legend: Sequence[Legend] = (),
    words: str = "",
) -> Figure:
    """Return the plot of one quantity. Its SVG is empty if no value is known."""
    known = [(value, point.at) for value, point in zip(values, series.points, strict=True) if value is not None]
    if known:
        (low, low_at), (high, high_at) = min(known), max(known)
        summary = (
            f"{_span(series)}: from {amount(low, unit)} ({_at(low_at, series)}) to {amount(high, unit)} "
            f"({_at(high_at, series)}), last {amount(known[-1][0], unit)}.{words}"
        )
    else:
        summary = _NO_SOURCE
    svg = picture(name, title, summary, parts) if known else Svg("")
    return Figure(name, title, summary, svg, _table(title, series, columns), tuple(legend))


def _table(title: str, series: SeriesView, columns: Sequence[_Column]) -> Table:
    """Return the numbers by the hour, or by the day for a month. Rows without a known value are left out."""
    row_s = _ROW_S.get(series.step_s, _DAY_S)
    per_row = max(1, round(row_s / series.step_s))
    points = series.points
    rows = []
    for begin in range(0, len(points), per_row):
        group = points[begin : begin + per_row]
        cells = tuple(cell(group) for _, cell in columns)
        if any(cell not in {NOTHING, "0", ""} for cell in cells):
            rows.append((_at(group[0].at, series), *cells))
    caption = f"{title}, {'by the hour' if row_s < _DAY_S else 'by the day'}"
    return Table(caption, ("From", *(name for name, _ in columns)), tuple(rows))


def _at(at: float, series: SeriesView) -> str:
    return clock(at) if series.step_s * len(series.points) <= _DAY_S else day(at)


def _span(series: SeriesView) -> str:
    return "Last 24 hours" if series.step_s * len(series.points) <= _DAY_S else "Last 30 days"


def _state_of(point: SeriesPoint) -> str | None:
    """Return the state that lasted longest in a step, or None if no state is known."""
    known = [(seconds, each) for each, seconds in point.seconds.items() if each in set(PowerState) and seconds > 0]
    return max(known)[1] if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mean_of(name: str, unit: str) -> Callable[[Sequence[SeriesPoint]], str]:
    return lambda points: amount(_mean([getattr(each, name) for each in points]), unit)


def _sum_of(name: str) -> Callable[[Sequence[SeriesPoint]], str]:
    return lambda points: str(sum(getattr(each, name) for each in points))


def _time_in(each: PowerState) -> Callable[[Sequence[SeriesPoint]], str]:
    def cell(points: Sequence[SeriesPoint]) -> str:
        seconds = sum(point.seconds.get(each, 0.0) for point in points)
        return lasting(seconds) if seconds >= 30 else NOTHING

    return cell
