"""A part is started, restarted when it ends, and stopped within its grace time."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.backoff import Backoff
from edge.core.errors import StackError
from edge.up import part as part_module
from edge.up.child import Child
from edge.up.lines import StackLog
from edge.up.part import Part, PartMisconfigured


class Shell:
    """Runs a shell script as a part. It is ready when it has made the file `ready`, which is then renamed to `seen`."""

    def __init__(
        self, folder: Path, script: str, *, grace_s: float = 5.0, began: bool = False, insist_s: float | None = None
    ) -> None:
        self.folder, self.out = folder, io.StringIO()
        self.starts = 0

        def launch() -> Child:
            self.starts += 1
            for name in ("ready", "seen"):
                (folder / name).unlink(missing_ok=True)
            return Child(["sh", "-c", script], env=dict(os.environ), cwd=folder, output=subprocess.PIPE)

        async def ready(child: Child) -> bool:
            del child
            if not (folder / "ready").exists():
                return False
            (folder / "ready").rename(folder / "seen")
            return True

        self.part = Part(
            "worker",
            launch,
            ready,
            lines=StackLog(self.out),
            grace_s=grace_s,
            began=lambda _child: began,
            insist_s=insist_s,
        )

    @property
    def log(self) -> str:
        return self.out.getvalue()


#: Start of a script: it continues when the part has been found to be ready.
SEEN = "touch ready; until [ -e seen ]; do sleep 0.01; done; "


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until `condition()` is true, at most `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_part_is_ready_logs_its_lines_and_stops(tmp_path: Path) -> None:
    """Lines of the program are logged with the name of the part. SIGTERM ends the program, and nothing is killed."""

    async def body() -> None:
        shell = Shell(tmp_path, "echo hello; touch ready; exec sleep 60")
        await shell.part.start(timeout_s=10)
        await until(lambda: "worker   | hello" in shell.log)
        await shell.part.stop(asyncio.Event())
        assert not shell.part.running
        assert "killing" not in shell.log

    asyncio.run(body())


def test_a_part_that_began_its_work_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that crashes the worker while the stack starts does not end the stack."""
    monkeypatch.setattr(part_module, "RESTART", Backoff(first_s=0.01, most_s=0.01))

    async def body() -> None:
        shell = Shell(
            tmp_path, "echo x >> runs; [ $(wc -l < runs) -gt 3 ] || exit 9; touch ready; sleep 60", began=True
        )
        await shell.part.start(timeout_s=10)
        assert shell.starts == 4
        assert shell.log.count("worker ended with code 9; starting it again in 0.01 s") == 3
        await shell.part.stop(asyncio.Event())

    asyncio.run(body())


def test_a_part_that_ends_before_it_is_ready_gives_its_last_line(tmp_path: Path) -> None:
    """The error has the exit code and the last line of output."""

    async def body() -> None:
        shell = Shell(tmp_path, "echo first; echo no such disk >&2; exit 7")
        with pytest.raises(StackError, match="worker ended with code 7: no such disk"):
            await shell.part.start(timeout_s=10)

    asyncio.run(body())


def test_a_part_that_is_not_ready_at_the_deadline_is_an_error(tmp_path: Path) -> None:
    """A part that is not ready in time is an error. The caller must still stop it."""

    async def body() -> None:
        shell = Shell(tmp_path, "exec sleep 60")
        with pytest.raises(StackError, match="does not get ready"):
            await shell.part.start(timeout_s=0.1)
        await shell.part.stop(asyncio.Event())

    asyncio.run(body())


def test_a_crash_starts_it_again_with_growing_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end is logged in one line with reason and pause. The pauses grow up to the longest one."""
    monkeypatch.setattr(part_module, "RESTART", Backoff(first_s=0.01, most_s=0.02))

    async def body() -> None:
        shell = Shell(tmp_path, SEEN + "kill -SEGV $$")
        await shell.part.start(timeout_s=10)
        keeping = asyncio.create_task(shell.part.keep())
        await until(lambda: shell.starts >= 4)
        keeping.cancel()
        await asyncio.wait({keeping})
        ends = [line for line in shell.log.splitlines() if "was ended by SIGSEGV" in line]
        assert [line.rsplit(" in ", 1)[1] for line in ends[:3]] == ["0.01 s", "0.02 s", "0.02 s"]
        await shell.part.stop(asyncio.Event())

    asyncio.run(body())


@pytest.mark.parametrize("ready_first", [True, False])
def test_a_configuration_error_is_not_tried_again(tmp_path: Path, *, ready_first: bool) -> None:
    """Exit code 2 of a part ends the stack with the part's last line and the same code."""
    script = (SEEN if ready_first else "") + "echo 'power.pause = 200: at most 100'; exit 2"

    async def body() -> None:
        shell = Shell(tmp_path, script)
        with pytest.raises(PartMisconfigured, match=r"worker: power\.pause = 200") as caught:
            await shell.part.start(timeout_s=10)
            await shell.part.keep()
        assert caught.value.exit_code == 2
        assert shell.starts == 1

    asyncio.run(body())


def test_a_part_that_misses_the_first_sigterm_gets_another(tmp_path: Path) -> None:
    """A broker misses a SIGTERM while it boots."""

    async def body() -> None:
        script = "trap 'trap - TERM' TERM; touch ready; while :; do sleep 0.01; done"
        shell = Shell(tmp_path, script, grace_s=30.0, insist_s=0.1)
        await shell.part.start(timeout_s=10)
        await shell.part.stop(asyncio.Event())
        assert "was ended by SIGTERM" in await shell.part.wait_ended()
        assert "killing" not in shell.log

    asyncio.run(body())


def test_a_part_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    """The log names the kill and its reason."""

    async def body() -> None:
        shell = Shell(tmp_path, "trap '' TERM; touch ready; while :; do sleep 60; done", grace_s=0.1)
        await shell.part.start(timeout_s=10)
        await shell.part.stop(asyncio.Event())
        assert not shell.part.running
        assert "killing worker: it did not end in 0.1 s" in shell.log

    asyncio.run(body())


def test_a_second_signal_hurries(tmp_path: Path) -> None:
    """If `hurry` is set, the stop does not wait for the grace time."""

    async def body() -> None:
        shell = Shell(tmp_path, "trap '' TERM; touch ready; while :; do sleep 60; done", grace_s=600)
        await shell.part.start(timeout_s=10)
        hurry = asyncio.Event()
        hurry.set()
        started = time.monotonic()
        await shell.part.stop(hurry)
        assert time.monotonic() - started < 60
        assert "a second signal came" in shell.log

    asyncio.run(body())


def test_a_killed_child_takes_its_session_along(tmp_path: Path) -> None:
    """SIGKILL also reaches the processes that the program started."""
    child = Child(["sh", "-c", "sleep 600 & echo $!; wait"], env=dict(os.environ), cwd=tmp_path, output=subprocess.PIPE)
    assert child.output is not None
    with child.output:
        grandchild = os.pidfd_open(int(child.output.readline()))
        child.kill()
        assert child.wait(10) == -signal.SIGKILL
    child.close()
    poll = select.poll()
    poll.register(grandchild, select.POLLIN)
    assert poll.poll(10_000)
    os.close(grandchild)


def test_processes_that_a_part_left_running_end_with_it(tmp_path: Path) -> None:
    """When a worker ends, no process of its job is left running."""
    child = Child(
        ["sh", "-c", "sleep 600 & echo $!; exit 3"], env=dict(os.environ), cwd=tmp_path, output=subprocess.PIPE
    )
    assert child.output is not None
    left = int(child.output.readline())
    assert child.wait(10) == 3
    child.output.read()  # it returns when no process can write to the pipe any more
    child.output.close()
    assert not Path(f"/proc/{left}/cmdline").exists() or not Path(f"/proc/{left}/cmdline").read_bytes()
    child.close()
