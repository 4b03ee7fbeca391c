"""The plots: their content, that they need no inline style and no script, and that a table has the same numbers."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge
from edge.gateway.page.plots.figure import Figure
from edge.gateway.page.plots.history import history
from edge.model import PowerState
from edge.wire import SeriesPoint, SeriesView

_CSS = (Path(edge.__file__).parent / "gateway/page/assets/plots.css").read_text()
_AT = 1_800_000_000.0
_NAMES = ("charge", "state", "watts", "temperature", "jobs", "backlog")

_amounts = st.none() | st.floats(0, 1e6, allow_nan=False)
_points = st.builds(
    SeriesPoint,
    at=st.just(_AT),
    charge=st.none() | st.floats(0, 100),
    watts=_amounts,
    solar_watts=_amounts,
    temperature=st.none() | st.floats(-60, 150),
    seconds=st.dictionaries(st.sampled_from([*PowerState, "odd"]), st.floats(0, 900)),
    started=st.integers(0, 10**6),
    succeeded=st.integers(0, 10**6),
    failed=st.integers(0, 10**6),
    cancelled=st.integers(0, 10**6),
    backlog=st.none() | st.integers(0, 10**7),
)


def series(points: list[SeriesPoint], *, step_s: float = 900.0) -> SeriesView:
    """Return a series with these points in equal steps."""
    placed = tuple(msgspec.structs.replace(each, at=_AT + number * step_s) for number, each in enumerate(points))
    charged = any(each.charge is not None for each in points)
    limits = {"pause_percent": 30.0, "resume_percent": 45.0} if charged else {}
    return SeriesView("24h", step_s, placed, **limits)


def day(*, cancelled: int = 0) -> SeriesView:
    """Return a day of which every value is known."""
    point = SeriesPoint(
        _AT,
        charge=50.0,
        watts=4.0,
        solar_watts=9.0,
        temperature=51.0,
        seconds={"normal": 900.0},
        started=2,
        succeeded=1,
        failed=1,
        cancelled=cancelled,
        backlog=3,
    )
    return series([point] * 96)


def classes(figure: Figure) -> set[str]:
    """Return the CSS classes that a plot and its legend use."""
    used = {name for each in re.findall(r'class="([^"]*)"', figure.svg) for name in each.split()}
    return used | {legend.mark for legend in figure.legend}


@given(st.lists(_points, min_size=1, max_size=100), st.sampled_from([900.0, 10_800.0]))
@settings(max_examples=60, deadline=None)
def test_whatever_is_known_the_plots_are_sound(points: list[SeriesPoint], step_s: float) -> None:
    """The SVG is well-formed, stays inside the frame, and has nothing that a strict policy forbids."""
    figures = history(series(points, step_s=step_s))
    assert tuple(figure.name for figure in figures) == _NAMES
    for figure in figures:
        assert figure.title
        assert figure.summary
        if not figure.svg:
            continue
        root = ET.fromstring(figure.svg)
        assert not {"style", "onclick", "href"} & {key for each in root.iter() for key in each.attrib}
        assert {each.tag for each in root.iter()} <= {"svg", "title", "desc", "line", "rect", "path", "text"}
        assert "nan" not in figure.svg
        assert "inf" not in figure.svg
        for each in root.iter("rect"):
            assert -0.1 <= float(each.attrib["y"]) <= float(each.attrib["y"]) + float(each.attrib["height"]) <= 210
        for path in root.iter("path"):
            numbers = [float(each) for each in re.findall(r"-?[0-9.]+", path.attrib["d"])]
            assert all(-0.1 <= each <= 640.2 for each in numbers)


def test_screen_readers_are_told_what_is_seen() -> None:
    """Each plot has a role, a title and a description, and refers to the latter two by unique ids."""
    for figure in history(day()):
        root = ET.fromstring(figure.svg)
        assert root.attrib["role"] == "img"
        title, desc = root.attrib["aria-labelledby"].split()
        texts = {each.attrib.get("id"): each.text for each in root}
        assert texts[title] == figure.title
        assert texts[desc] == figure.summary


def test_every_class_has_its_look() -> None:
    """The style sheet has a rule for each class, with colours that the light and the dark scheme define."""
    used = set[str]()
    for state in PowerState:
        for figure in history(
            series([SeriesPoint(_AT, charge=20.0, watts=1.0, solar_watts=1.0, seconds={state: 900.0})])
        ):
            used |= classes(figure)
    for figure in history(day(cancelled=1)):
        used |= classes(figure)
    used -= {"plot-time", "plot-start", "plot-bar", "plot-state"}  # another class of the same element has their rule
    assert {each for each in used if f".{each}" not in _CSS} == set()
    assert not re.findall(r"#[0-9a-f]{3}", _CSS)


def test_bands_tell_where_work_pauses_and_goes_on() -> None:
    """The two thresholds are shown as coloured bands, in the legend and in words."""
    charge = history(day())[0]
    assert {"plot-pause", "plot-between"} <= classes(charge)
    assert "Work pauses at 30 % and goes on at 45 %." in charge.summary


@pytest.mark.parametrize(("step_s", "count", "rows", "by"), [(900.0, 96, 24, "hour"), (10_800.0, 240, 30, "day")])
def test_the_table_says_the_same_by_the_hour_or_the_day(step_s: float, count: int, rows: int, by: str) -> None:
    """A row of the table is an hour of a day, or a day of a month. The sums are those of the series."""
    points = [SeriesPoint(_AT, charge=50.0, started=1, succeeded=1, backlog=2, seconds={"low": step_s})] * count
    figures = {figure.name: figure for figure in history(series(points, step_s=step_s))}
    for name in ("charge", "jobs", "backlog", "state"):
        table = figures[name].table
        assert len(table.rows) == rows
        assert by in table.caption
        assert {len(row) for row in table.rows} == {len(table.head)}
    assert sum(int(row[1]) for row in figures["jobs"].table.rows) == count


def test_a_gap_is_a_gap() -> None:
    """The line is interrupted while the board was off; missing values are not drawn as 0."""
    points = [SeriesPoint(_AT, charge=value) for value in (50.0, 50.0, None, 40.0, None, 30.0)]
    charge = history(series(points))[0]
    path = re.search(r'plot-line-a" d="([^"]*)"', charge.svg)
    assert path is not None
    assert path[1].count("M") == 3


def test_what_no_source_tells_is_not_drawn() -> None:
    """A quantity without a source has a sentence in place of the plot; the other plots are drawn."""
    figures = {figure.name: figure for figure in history(series([SeriesPoint(_AT, backlog=0)] * 96))}
    assert {name for name, figure in figures.items() if not figure.svg} == {"charge", "state", "watts", "temperature"}
    assert "No power source" in figures["charge"].summary
    assert figures["charge"].table.rows == ()


def test_no_steps_make_no_plots() -> None:
    """An empty series has no plots."""
    assert history(SeriesView("24h", 900.0, ())) == ()
