"""`edge scale` shows the scaled workers, and sets their number."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from edge.cli.main import main
from edge.core.host import boot_id
from edge.model import ScaledWorkers, ScaleStep, ScalingStatus, WorkerState, WorkerStatus
from edge.power.workers import by_hand

DECIDED = ScaledWorkers("extra", 1, 1, "1 of 2: max is 2", ("extra-1",), steps=(ScaleStep(1e9, 1, "1 of 2: max is 2"),))


@pytest.fixture
def board(tmp_path: Path) -> list[str]:
    """The arguments of `edge scale` on a board with one scaled entry, whose governor has decided."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: .\nrun: run\nworkers: [{name: main}, {name: extra, min: 0, max: 2}]\n")
    (tmp_path / "run" / "scaling").mkdir(parents=True)
    status = ScalingStatus(boot_id(), 0.0, (DECIDED,))
    (tmp_path / "run" / "scaling" / "workers.json").write_bytes(msgspec.json.encode(status))
    lives(tmp_path, os.getpid())
    return ["--config", str(path), "scale"]


def lives(folder: Path, pid: int) -> None:
    worker = WorkerStatus("extra-1", pid, boot_id(), WorkerState.IDLE)
    (folder / "run" / "worker-extra-1.json").write_bytes(msgspec.json.encode(worker))


def test_it_shows_what_is_wanted_what_runs_and_why(board: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The wanted and the running number are shown, with the reason and the last steps."""
    assert main(board) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == ["worker   extra", "wanted   1", "running  1", "why      1 of 2: max is 2"]
    assert printed[4].endswith("1 of 2: max is 2")


def test_a_worker_that_died_while_idle_does_not_run(
    board: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker whose process is dead does not count as running, even if the governor has not noticed it yet."""
    lives(tmp_path, 2**22 - 1)
    assert main(board) == 0
    assert "running  0" in capsys.readouterr().out


def test_as_json_it_is_what_the_governor_told(board: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` the records of the governor are written."""
    assert main([*board, "extra", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(msgspec.json.encode([DECIDED]))


def test_a_count_is_set_for_a_time_and_left_to_the_rule_again(
    board: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A count holds for its time, one hour if none is given, and `auto` ends it."""
    assert main([*board, "extra", "2", "--for", "30m"]) == 0
    each = by_hand.current(tmp_path / "power" / "scale.json")["extra"]
    assert (each.count, each.for_s) == (2, 1800.0)
    assert main([*board, "extra", "1"]) == 0
    assert by_hand.current(tmp_path / "power" / "scale.json")["extra"].for_s == 3600.0
    assert main([*board, "extra", "auto", "--json"]) == 0
    assert by_hand.current(tmp_path / "power" / "scale.json") == {}
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"name": "extra", "count": None, "for_s": None}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["main"], "worker 'main' is not scaled: one of extra"),
        (["extra", "3"], "count '3' of extra: expected 0 to 2, or auto"),
        (["extra", "-1"], "No such option"),
        (["extra", "1.5"], "count '1.5' of extra: expected 0 to 2, or auto"),
        (["extra", "²"], "count '²' of extra: expected 0 to 2, or auto"),
        (["extra", "all"], "count 'all' of extra: expected 0 to 2, or auto"),
        (["extra", "1", "--for", "0s"], "is not between one second and a year"),
        (["extra", "1", "--for", "soon"], "is not a duration"),
        (["extra", "--for", "1h"], "--for needs a count"),
        (["extra", "auto", "--for", "1h"], "--for cannot be used with auto"),
        (["extra", "1", "2"], "unexpected extra argument"),
    ],
)
def test_bad_input_gets_one_line(
    board: list[str], capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    """Bad input exits with 2 and one line that says what is expected."""
    assert main([*board, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_board_that_scales_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a scaled entry the command exits with 2 and says so."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: .\nrun: run\n")
    assert main(["--config", str(path), "scale"]) == 2
    assert "no worker is scaled" in capsys.readouterr().err
