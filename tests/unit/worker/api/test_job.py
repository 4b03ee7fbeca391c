"""What the body of a task may do by its `Job`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.catalog.signature import Signature
from edge.config import Config
from edge.core import durable
from edge.core.errors import UsageError
from edge.model import PowerState, Progress, RunningJob, WorkerState
from edge.worker import Job, app, task
from edge.worker.api import checkpoint as checkpoints
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.process.status import StatusFile


def test_a_local_job_needs_no_worker(tmp_path: Path) -> None:
    """For unit tests of task files: artifacts, settings and checkpoints are in one folder."""
    job = Job.local(tmp_path, settings={"colour": "blue"})
    job.file("a.txt").write_text("x")
    job.progress(1, 2)
    job.check()
    assert job.restored is None
    job.checkpoint({"step": 3})
    assert (tmp_path / "a.txt").read_text() == "x"
    assert job.folder.is_dir()
    again = Job.local(tmp_path, attempt=2)
    assert (again.restored, again.attempt, again.settings) == ({"step": 3}, 2, {})


def test_a_body_finds_the_files_that_it_was_given(tmp_path: Path) -> None:
    """It finds an input file by its name. Any other name is an error that lists the inputs."""
    clip = tmp_path / "clip.mov"
    job = Job.local(tmp_path, inputs={"clip": clip})
    assert job.input("clip") == clip
    with pytest.raises(UsageError, match=r"'sound': the inputs of this job are: clip$"):
        job.input("sound")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", ".hidden", "a/b", "a\0b", "x" * 300])
def test_an_artifact_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A name that leads out of the folder is refused."""
    with pytest.raises(ValueError, match="file name"):
        Job.local(tmp_path).file(name)


def test_a_checkpoint_is_written_when_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not written at once, and then not too often for the card. `now=True` always writes it."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    checkpoint = Checkpoint(tmp_path / "c" / "1.json")
    assert not checkpoint.save(1)
    clock[0] += checkpoints.EVERY_S
    assert checkpoint.save(2)
    assert checkpoint.read() == 2
    assert not checkpoint.save(3)
    assert checkpoint.save(4, now=True)

    def slow(path: Path, data: bytes, *, shared: bool) -> None:
        clock[0] += 1.0

    monkeypatch.setattr(durable, "replace", slow)
    clock[0] += checkpoints.EVERY_S
    assert checkpoint.save(5)
    clock[0] += checkpoints.EVERY_S
    assert not checkpoint.save(6)  # a save that took 1 s protects at least 50 s
    clock[0] += checkpoints.COST_FACTOR
    assert checkpoint.save(7)


def test_power_that_falls_within_a_checkpoint_finds_it_saved(tmp_path: Path) -> None:
    """A caller that holds the body there can have the state saved before, although it is not yet time for a save."""
    asked: list[dict[str, Any]] = []
    job = Job(
        "a",
        folder=tmp_path,
        files=lambda name: tmp_path / name,
        checkpoint=Checkpoint(tmp_path / "a.json"),
        check=lambda **how: asked.append(how),
    )
    job.checkpoint({"step": 7})
    assert not (tmp_path / "a.json").exists()
    assert asked[0]["saved"] is False
    assert asked[0]["save"]()
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"step": 7}


def test_a_disk_that_takes_no_checkpoint_costs_no_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The progress is lost and this is logged once. A state that JSON cannot represent is an error of the job."""
    (tmp_path / "c").write_text("no folder")
    checkpoint = Checkpoint(tmp_path / "c" / "1.json", every_s=0)
    assert not checkpoint.save(1)
    assert not checkpoint.save(2)
    assert sum("cannot save checkpoint" in record.message for record in caplog.records) == 1
    with pytest.raises(TypeError):
        checkpoint.save(object())


def test_two_processes_save_the_checkpoint_of_one_job_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers may run one job.

    Neither writes into the other's temporary file, or removes it before it is renamed.
    """
    path = tmp_path / "a.json"
    real = os.fsync
    other = f"from edge.worker.api.checkpoint import Checkpoint as C; C(Path({str(path)!r})).save('theirs', now=True)"

    def meanwhile(fd: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        subprocess.run([sys.executable, "-c", f"from pathlib import Path; {other}"], check=True, timeout=60)
        assert json.loads(path.read_bytes()) == "theirs"
        real(fd)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert Checkpoint(path).save("ours", now=True)
    assert json.loads(path.read_bytes()) == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    """The job starts from its beginning. The damage is logged and not raised."""
    (tmp_path / "1.json").write_text('{"step": ')
    assert Checkpoint(tmp_path / "1.json").read() is None


class Loop:
    """Plays the timers of the event loop."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def later(self, _delay: float, call: Any) -> None:
        self.calls.append(call)

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_status_is_written_when_it_changes_and_lasts(config: Config) -> None:
    """Short jobs that follow each other at once are not all written."""
    config.run.mkdir(parents=True)
    loop = Loop()
    status = StatusFile(config.layout, "main", loop.later)
    path = config.layout.worker("main")
    status.update(state=WorkerState.DISCONNECTED)
    status.update_queues(("edge.normal",), PowerState.NORMAL)
    written = path.stat().st_ino
    status.update_queues(("edge.normal",), PowerState.NORMAL)
    assert path.stat().st_ino == written  # nothing new: nothing written
    assert status.begin(RunningJob("a", "echo", 0.0)) > 0.2  # written after that time
    status.finished()
    status.begin(RunningJob("b", "echo", 0.0))
    loop.run()
    assert path.stat().st_ino == written
    status.flush()  # it lasted
    assert b'"b"' in path.read_bytes()
    status.progress(Progress(1, 2))
    assert b'"done":1,' in path.read_bytes()
    status.progress(Progress(2, 2))
    assert b'"done":1,' in path.read_bytes()  # too soon
    status.finished()
    loop.run()
    assert b'"idle"' in path.read_bytes()
    status.update_queues((), PowerState.LOW)
    assert b'"paused"' in path.read_bytes()


def test_a_status_that_cannot_be_written_stops_nothing(config: Config) -> None:
    """The job matters more than its status."""
    StatusFile(config.layout, "main", Loop().later).update(state=WorkerState.IDLE)


def test_a_task_is_the_plain_function_when_called(tmp_path: Path) -> None:
    """The call needs no configuration and no broker, and the options of `@task` are kept."""

    @task(name="plain_test", power="surplus", retries=3, time_limit_s=4)
    def plain(number: int, job: Job) -> int:
        """Return twice the number."""
        return 2 * number

    try:
        assert plain(2, job=Job.local(tmp_path)) == 4
        assert plain.name == "plain_test"
        made: Any = plain
        assert (made.edge_power, made.edge_retries, made.edge_time_limit_s) == ("surplus", 3, 4)
        assert isinstance(made.edge_signature, Signature)
        assert made.edge_signature.job_parameter == "job"
    finally:
        app._tasks.pop("plain_test")


@pytest.mark.parametrize(
    "options", [{"power": "sun"}, {"retries": -1}, {"retries": 101}, {"time_limit_s": 0}, {"time_limit_s": 1e9}]
)
def test_options_out_of_range_are_refused_at_the_import(options: dict[str, Any]) -> None:
    """The error names the place in the task file."""
    with pytest.raises(TypeError, match=r"test_job\.py:\d+: odd\(\)"):

        @task(**options)
        def odd(number: int) -> int:
            return number


def test_a_name_is_taken_once() -> None:
    """Two modules cannot both have a task with the same name."""
    from tasks import solve  # noqa: F401 - registers it

    with pytest.raises(TypeError, match="'solve' is in tasks"):

        @task(name="solve")
        def other() -> None: ...


def test_importing_tasks_reads_no_configuration() -> None:
    """`from tasks import solve` is cheap, and works even if EDGE_CONFIG names no file."""
    import subprocess
    import sys

    program = "import sys; from tasks import solve; print('yaml' in sys.modules and False, 'spacy' in sys.modules)"
    env = os.environ | {"EDGE_CONFIG": "/nowhere.yaml"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"False"]
