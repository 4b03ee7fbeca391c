"""`edge schedule apply`: bad files are refused before anything changes, and only real differences are changes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.cli.main import main
from edge.cli.schedules import apply
from edge.model import InputFile, Schedule

DAILY = "task: echo, cron: '@daily'"
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"a: &x {{{DAILY}, args: [*x]}}", "nested deeper than 100 levels"),
        (BOMB, "more than 2000000 values"),
        (f'a: {{{DAILY}, args: ["\\ud800"]}}', "half of a UTF-16 pair"),
        (f"a: {{{DAILY}}}\na: {{{DAILY}}}", "key 'a' is given twice"),
        (f"a: {{{DAILY}, priority: 1, priority: 2}}", "key 'priority' is given twice"),
        (f"a: {{{DAILY}, args: [.nan]}}", "args[0]: nan: JSON has no such number"),
        (f"a: {{{DAILY}, args: [{{b: -.inf}}]}}", "args[0].b: -inf: JSON has no such number"),
        (f"a: {{{DAILY}, args: [2026-01-01]}}", "args[0]: 2026-01-01: a date is not JSON; put quotes around it"),
        (f"a: {{{DAILY}, args: [{{1: x}}]}}", "args[0]: key 1: expected text; put quotes around it"),
        (f"a: {{{DAILY}, timezone: ''}}", "timezone '': expected the name of a zone"),
        ("{", "not YAML"),
    ],
)
def test_what_a_board_cannot_be_told_is_refused(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad file exits with 2 and one line that names the mistake. No request is sent."""
    file = tmp_path / "schedules.yaml"
    file.write_text(text)
    monkeypatch.setenv("EDGE_URL", "http://127.0.0.1:9")
    assert main(["schedule", "apply", str(file), "--yes"]) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert why in printed


@pytest.mark.parametrize(("now", "then"), [([1], [True]), ([0], [False]), ([1.0], [True]), ([{"a": 1}], [{"a": True}])])
def test_a_truth_value_in_place_of_a_number_is_a_change(now: list[object], then: list[object]) -> None:
    """1 and true are different values for a task, although they are equal in Python."""
    view = SimpleNamespace(**{name: getattr(Schedule("t", now), name) for name in Schedule.__struct_fields__})
    assert apply._changed(cast("Any", view), Schedule("t", then)) != []
    assert apply._changed(cast("Any", view), Schedule("t", now)) == []


def test_a_whole_number_with_a_point_is_none() -> None:
    """5.0 and 5 are the same: the board stores 5.0 as 5 if the task wants a whole number."""
    assert apply._same([{"n": 5}], [{"n": 5.0}])


def test_a_file_is_the_same_when_its_content_is() -> None:
    """Files are compared by content, because the board adds name and size to a file."""
    full, bare = Schedule("t", files={"clip": InputFile("a" * 64, "clip", 7)}), InputFile("a" * 64)
    view = SimpleNamespace(**{name: getattr(full, name) for name in Schedule.__struct_fields__})
    assert apply._changed(cast("Any", view), Schedule("t", files={"clip": bare})) == []
    assert apply._changed(cast("Any", view), Schedule("t", files={"clip": InputFile("b" * 64)})) != []
    assert apply._changed(cast("Any", view), Schedule("t")) != []
