"""Only one process of a board runs the program of a job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.worker.attempt.program_locks import ProgramLocks

_HOLDER = """
import sys
from pathlib import Path
from edge.worker.attempt.program_locks import ProgramLocks
print(ProgramLocks(Path(sys.argv[1])).take(sys.argv[2]), flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path, job_id: str) -> Iterator[None]:
    """Another process holds the lock of a job inside the block."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path), job_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        yield
        holder.kill()


def test_a_job_that_another_process_holds_is_not_taken(tmp_path: Path) -> None:
    """The kernel releases the lock when that process is killed."""
    locks = ProgramLocks(tmp_path / "lock")
    with held_elsewhere(tmp_path / "lock", "a"):
        assert not locks.take("a")
        assert locks.take("b")
    assert locks.take("a")


def test_a_released_job_is_free_for_others(tmp_path: Path) -> None:
    """A second release, and one of a job that was never taken, do nothing."""
    locks = ProgramLocks(tmp_path / "lock")
    locks.release("a")
    assert locks.take("a")
    assert locks.take("a")
    locks.release("a")
    locks.release("a")
    with held_elsewhere(tmp_path / "lock", "a"):
        assert not locks.take("a")


def test_a_child_does_not_inherit_a_lock(tmp_path: Path) -> None:
    """A daemon that a body leaves behind must not keep the job from running after the death of its worker."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from edge.worker.attempt.program_locks import ProgramLocks\n"
        "assert ProgramLocks(Path(sys.argv[1])).take('a')\n"
        "if (child := os.fork()) == 0:\n"
        "    time.sleep(60)\n"
        "print(child, flush=True)\n"
        "os._exit(0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
    try:
        assert ProgramLocks(tmp_path / "lock").take("a")
    finally:
        os.kill(child, 9)
