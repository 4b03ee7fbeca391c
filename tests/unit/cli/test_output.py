"""The functions that write the output of commands."""

from __future__ import annotations

import pytest

from edge.cli import output
from edge.model import Action, Plan


@pytest.mark.parametrize("at", [None, 0.0])
def test_no_time_is_nothing(at: float | None) -> None:
    """A missing time is an empty text, not a date in 1970."""
    assert output.when(at) == ""


@pytest.mark.parametrize("at", [1e300, -1e300, float("inf")])
def test_a_time_beyond_the_calendar_is_a_number(at: float) -> None:
    """A time outside the calendar is written as a number: the clock of a board may have any value."""
    assert output.when(at) == f"{at:g}"


def test_a_jobs_text_cannot_steer_the_terminal() -> None:
    """Control characters of a text are written as codes, so that a terminal does not execute them."""
    assert output.shown("a\x1b[2Jb\rc\td\n") == "a\\x1b[2Jb\\x0dc\td\n"
    assert output.line("two\nlines \x07") == "two lines \\x07"
    assert output.line("long text", width=5) == "long…"


def test_columns_are_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are aligned, and a line has no spaces at its end."""
    output.table(("A", "B", ""), [("1", "longer", "x"), ("22", "y", "")])
    assert capsys.readouterr().out == "A   B\n1   longer  x\n22  y\n"


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A fact with an empty value has no line."""
    output.facts([("a", "1"), ("longer", ""), ("bb", "2")])
    assert capsys.readouterr().out == "a   1\nbb  2\n"


def test_a_value_that_is_text_comes_out_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets text unchanged, and other values as JSON."""
    output.value("a\x1b[0m")
    output.value([1, None])
    assert capsys.readouterr().out == "a\x1b[0m\n[1,null]\n"


def test_a_plan_is_told_with_its_reason_and_the_night_budget() -> None:
    """A plan is shown with its action, its reason and the energy for the night. Without a plan nothing is shown."""
    made = Plan(Action.SLEEP, "no job waits", 2e9, 13.5, 1.9e9, 18.14, 1.9e9)
    (_, words), (_, budget) = output.plan(made)
    assert words == f"sleep: no job waits, wakes at {output.when(1.9e9)}"
    assert budget == f"18.1 Wh, down to 14 %, until the sun is back at {output.when(1.9e9)}"
    (_, _), (_, budget) = output.plan(Plan(Action.WORK, "a job waits", 2e9, 13.5, None, 18.14))
    assert budget == "18.1 Wh, down to 14 %; the forecast has no time with enough sun for an idle board"
    assert output.plan(Plan(Action.WORK, "there is no forecast", 2e9)) == [("plan", "work: there is no forecast")]
    assert output.plan(None) == []
