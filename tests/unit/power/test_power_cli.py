"""Tests of the commands `edge power`, `edge pause` and `edge resume`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from edge.cli.main import main
from edge.core.layout import Layout
from edge.model import Reading, Verdict
from edge.power.governor import pause
from edge.power.governor.history import Sample


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    layout = Layout(tmp_path / "state", tmp_path / "run")
    tree = {"root": str(layout.root), "run": str(layout.run), "power": {"sources": [{"kind": "simulated"}]}}
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(tree))
    for name in ("EDGE_URL", "EDGE_TOKEN", "EDGE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "edge.yaml"))
    return layout


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("30s", 30), ("20m", 1200), ("2h", 7200), ("1h30m", 5400), ("3d", 259_200)]
)
def test_pause_for_a_time_and_resume(
    board: Layout, capsys: pytest.CaptureFixture[str], text: str, seconds: float
) -> None:
    """Durations can be written in several ways. The output of resume shows if there was a pause."""
    assert main(["pause", "--for", text]) == 0
    found = pause.current(board.pause)
    assert found is not None
    assert found[0].for_s == seconds
    assert main(["resume"]) == 0
    assert main(["resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"paused": False, "was_paused": False}


@pytest.mark.parametrize("text", ["soon", "0s", "-5m", "2x", "1000d", ""])
def test_a_bad_duration_is_refused_in_one_line(board: Layout, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """The exit code is 2."""
    assert main(["pause", "--for", text]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge: ")
    assert not board.pause.exists()


def test_what_cannot_be_written_is_named(board: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """The error of the system alone, such as `No space left on device`, does not name the file."""
    for path, words in ((board.pause, ["pause"]), (board.simulated, ["power", "simulate", "low"])):
        path.with_name(f".{path.name}.tmp").mkdir(parents=True)
        assert main(words) == 1
        assert f"cannot write {path}" in capsys.readouterr().err


def test_simulate_and_back(board: Layout) -> None:
    """The state is in the file that the governor watches. `off` removes the file."""
    assert main(["power", "simulate", "low"]) == 0
    assert board.simulated.read_text() == "low"
    assert main(["power", "simulate", "off"]) == 0
    assert not board.simulated.exists()


def test_a_person_is_asked_before_the_machine_goes_down(
    board: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `edge up`, `critical` would power a laptop off. A script is not asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main(["power", "simulate", "critical"]) == 130
    assert "powers this machine off" in capsys.readouterr().err
    assert not board.simulated.exists()
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert main(["power", "simulate", "critical"]) == 0
    assert board.simulated.read_text() == "critical"


def test_replay_prints_time_and_reason(board: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change is one line with its numbers."""
    percents = [50, 50, 50, 29, 29, 29]
    samples = [
        Sample(n * 10.0, (Reading("battery", "charge", float(p), "%", verdict=Verdict.OK),), at=1.8e9 + n * 10)
        for n, p in enumerate(percents)
    ]
    (tmp_path / "day.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, samples)) + b"\n")
    assert main(["power", "replay", str(tmp_path / "day.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "normal (after 20 s): charge 50 %" in lines[1]
    assert lines[2].endswith(
        "low (after 30 s): charge 29 %, pause is at 30 %; until it reaches 45 % and holds for 5 min"
    )


def test_replay_of_a_bad_file_is_one_line(board: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a missing or garbled file the exit code is 2, and the error names file and line."""
    (tmp_path / "bad").write_text("nonsense\n")
    for name, words in (("missing", "No such file"), ("bad", "bad:1: not a sample")):
        assert main(["power", "replay", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err


def test_show_without_a_governor(board: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """The state is unknown, with its reason."""
    assert main(["power", "show"]) == 0
    assert "the governor has not written a report yet" in capsys.readouterr().out
    assert main(["power", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


def test_probe_prints_what_loads(board: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever this machine has, the output is a valid configuration."""
    assert main(["power", "probe"]) == 0
    (tmp_path / "probed.yaml").write_text(capsys.readouterr().out)
    assert main(["config", "check", "--config", str(tmp_path / "probed.yaml")]) == 0


def test_config_check_asks_the_kinds_what_they_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check refuses what the governor would refuse at its start."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "meter_mute.py").write_text(
        "from edge.power.inputs.source import PowerSourceConfig\n\n\n"
        "class Mute(PowerSourceConfig, frozen=True, tag='mute'):\n    pass\n"
    )
    (tmp_path / "edge.yaml").write_text("power: {source_modules: [meter_mute], sources: [{kind: mute}]}")
    assert main(["config", "check", "--config", str(tmp_path / "edge.yaml")]) == 2
    assert "power.sources[0].kind = 'mute': its quantities() cannot be used" in capsys.readouterr().err
