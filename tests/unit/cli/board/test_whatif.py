"""`edge power replay --days`: the input that it needs, and the comparison that it prints."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest
import yaml

from edge.cli.main import main
from edge.core.layout import Layout
from edge.gateway.background.activity import JobDay, JobSlot
from edge.power import series
from edge.power.governor.days import Day
from edge.power.series import Mean, PowerSlot


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    layout = Layout(tmp_path / "state", tmp_path / "run")
    power = {"battery_wh": 5.0, "sources": [{"kind": "simulated"}]}
    (tmp_path / "edge.yaml").write_text(
        yaml.safe_dump({"root": str(layout.root), "run": str(layout.run), "power": power})
    )
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "edge.yaml"))
    return layout


def lived(layout: Layout) -> None:
    """Record three days with 4 W of sun from 8 to 16 o'clock, and six jobs in each quarter of an hour."""
    layout.days.mkdir(parents=True)
    layout.activity.mkdir(parents=True)
    now = series.slot_of(time.time())
    power, jobs = dict[str, dict[int, PowerSlot]](), dict[str, dict[int, JobSlot]]()
    for at in range(now - 3 * 86_400, now, series.SLOT_S):
        watts = 4.0 if 8 <= at % 86_400 / 3600 < 16 else 0.0
        local, utc = (time.strftime("%Y-%m-%d", f(at)) for f in (time.localtime, time.gmtime))
        power.setdefault(local, {})[at] = PowerSlot(charge=Mean(50.0, 1), solar_watts=Mean(watts, 1))
        jobs.setdefault(utc, {})[at] = JobSlot(started=6, backlog=0, most=0)
    for date, slots in power.items():
        (layout.days / f"{date}.json").write_bytes(msgspec.json.encode(Day(date, slots=slots)))
    for date, done in jobs.items():
        (layout.activity / f"{date}.json").write_bytes(msgspec.json.encode(JobDay(done)))


def test_a_larger_battery_runs_more_jobs(board: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """With a larger battery more jobs would have ended, in the document and in the text."""
    lived(board)
    assert main(["power", "replay", "--days", "2", "--battery", "300", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["other_battery_wh"] == 15.0
    assert found["as_it_would_be"]["jobs"] > found["as_it_was"]["jobs"] > 0
    assert main(["power", "replay", "--days", "2", "--battery", "300"]) == 0
    assert "more (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name a FILE of samples, or --days"),
        (["x.jsonl", "--days", "2"], "name a FILE of samples, or --days"),
        (["x.jsonl", "--battery", "120"], "--battery and --panel need --days"),
        (["--days", "2"], "no solar watts were recorded in the last 2 days"),
    ],
)
def test_what_is_missing_is_named(
    board: Layout, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    """A missing or contradictory argument exits with 2, as do missing recordings."""
    assert main(["power", "replay", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_young_board_is_computed_from_its_first_record_on(board: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """With a quarter of an hour on record, "the last 7 days" had 135 h off and an empty battery."""
    at = series.slot_of(time.time()) - 2 * series.SLOT_S
    date = time.strftime("%Y-%m-%d", time.localtime(at))
    slots = {at: PowerSlot(charge=Mean(50.0, 1), solar_watts=Mean(4.0, 1))}
    board.days.mkdir(parents=True)
    (board.days / f"{date}.json").write_bytes(msgspec.json.encode(Day(date, slots=slots)))
    assert main(["power", "replay", "--days", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["days"], found["recorded_h"], found["since"]) == (7, 0.25, at)
    assert found["as_it_was"]["lowest_percent"] > 40
    assert found["as_it_was"]["off_h"] < 1
    assert main(["power", "replay", "--days", "7"]) == 0
    assert "15 min of 7 days, since 20" in capsys.readouterr().out
