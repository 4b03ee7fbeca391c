"""`edge config check` and `edge config workers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.model import KnownQueues

KINDS = 'from edge.worker import task\n\n\n@task(pool="io")\ndef fetch() -> int:\n    return 1\n'


def written(folder: Path, text: str) -> list[str]:
    (folder / "kinds.py").write_text(KINDS)
    path = folder / "edge.yaml"
    path.write_text(f"root: state\nrun: run\ntasks: [kinds]\n{text}\n")
    return ["--config", str(path), "config"]


def test_check_warns_of_what_no_worker_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kind of job without a worker is a warning only, because a node may run it."""
    assert main([*written(tmp_path, "workers: [{name: main}]"), "check"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("ok: ")
    wanting = "no worker of pool threads is configured, which fetch needs"
    assert printed.err == f"warning: {wanting}; add {{name: io, pool: threads}} to `workers`\n"


def test_check_refuses_a_command_with_the_name_of_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command with the name of a task is refused, because the catalogue would leave it out."""
    assert main([*written(tmp_path, "commands: [{name: mine, run: [echo]}, {name: fetch, run: [echo]}]"), "check"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "commands[1].name = 'fetch': expected another name: a task named 'fetch' is in kinds already" in line


def test_check_refuses_to_freeze_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is one line that names the key, its value and what is allowed."""
    text = "worker: {running_job: freeze}\nworkers: [{name: main}, {name: io, pool: threads}]"
    assert main([*written(tmp_path, text), "check"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    says = "expected hold or finish: worker 'io' of pool threads cannot be frozen"
    assert f"worker.running_job = 'freeze': {says}" in line


@pytest.mark.parametrize(
    ("text", "io", "workers"),
    [
        ("", False, {"main": "edge-worker.service"}),
        ("", True, {"main": "edge-worker.service", "io": "edge-worker@io.service"}),
        ("worker: {running_job: freeze}", True, {"main": "edge-worker.service"}),
        ("workers: [{name: a}, {name: main}]", True, {"a": "edge-worker@a.service", "main": "edge-worker.service"}),
    ],
)
def test_workers_lists_what_a_board_is_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, io: bool, workers: dict[str, str]
) -> None:
    """Without a list, the worker of threads is shown if the gateway knows a kind of pool io and nothing is frozen."""
    argv = written(tmp_path, text or "worker: {name: main}")
    (tmp_path / "state").mkdir()
    KnownQueues(io=("fetch",) if io else ()).keep(tmp_path / "state/queues.json")
    assert main([*argv, "workers", "--json"]) == 0
    assert {each["name"]: each["unit"] for each in json.loads(capsys.readouterr().out)} == workers
    assert main([*argv, "workers"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(workers)
