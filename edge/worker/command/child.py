"""A started program with its pipes, its exit code and the resources that it used."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.model import FailureCode
from edge.worker.command.failure import ProgramFailed
from edge.worker.power.meter import Usage

#: A shell script that sets its own limits, joins the named cgroups, and becomes the program. It is constant: submitted
#: values are only in "$@", which a shell neither splits nor interprets.
_LAUNCH = (
    'ulimit -c 0; ulimit -f "$1" 2>/dev/null; shift; while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 126; '
    'shift; done; shift; exec "$@"'
)
_BLOCK_BYTES = 512
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds to wait for bubblewrap to make the sandbox, and for its process 1 to end.
_START_S, _END_S = 10.0, 5.0
_CHILD_PID = re.compile(rb'"child-pid": *(\d+)')
_EXIT_CODE = re.compile(rb'"exit-code": *(\d+)')
#: Bytes per read from a pipe.
READ_BYTES = 1 << 16


class Reaper:
    """Makes this process the subreaper while a sandbox runs, to learn the resources that its processes used.

    Its methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Become the parent of orphaned processes inside the block."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        with self._lock:
            before, self._count = self._count, self._count + by
            if bool(before) != bool(self._count):
                ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(bool(self._count)), 0, 0, 0)


class Child:
    """A program from its start to its end. Belongs to the thread of the body."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        stdin: Path | None,
        file_bytes: int,
        groups: Sequence[Path],
        status: tuple[int, int] | None,
    ) -> None:
        """Start the program.

        Args:
            words: the whole command line.
            env: all its environment variables.
            folder: its working folder.
            stdin: the file that it reads as standard input, or None for an empty one.
            file_bytes: the largest file that it may write.
            groups: folders of the cgroups that it joins.
            status: the pipe on which bubblewrap reports, or None without a sandbox. Both ends belong to this object.

        Raises:
            ProgramFailed: its arguments are too long.
            OSError: it cannot be started.
        """
        launch = ["/bin/sh", "-c", _LAUNCH, "edge", str(max(file_bytes // _BLOCK_BYTES, 1)), *map(str, groups), "--"]
        self._status = -1
        self._report = b""
        stdin_fd = subprocess.DEVNULL
        try:
            if stdin is not None:
                stdin_fd = os.open(stdin, os.O_RDONLY | os.O_CLOEXEC)
            self._process = subprocess.Popen(
                [*launch, *words],
                env=dict(env),
                cwd=folder,
                stdin=stdin_fd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=() if status is None else (status[1],),
                start_new_session=True,
                bufsize=0,
            )
        except BaseException as err:
            for fd in status or ():
                os.close(fd)
            if isinstance(err, OSError) and err.errno == errno.E2BIG:
                what = "the arguments of the program are longer than the kernel takes"
                raise ProgramFailed(FailureCode.BAD_ARGUMENTS, what) from err
            raise
        finally:
            if stdin_fd >= 0:
                os.close(stdin_fd)
        self._out, self._err = self._process.stdout, self._process.stderr
        for pipe in (self._out, self._err):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        if status is not None:
            self._status = status[0]
            os.close(status[1])
            os.set_blocking(self._status, False)
        try:
            self.handle = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            self.handle = -1
            self.close()
            raise

    @property
    def pipes(self) -> dict[int, str]:
        """The descriptors of the program's open pipes, with the name of each stream."""
        found = {"stdout": self._out, "stderr": self._err}
        return {pipe.fileno(): name for name, pipe in found.items() if pipe is not None and not pipe.closed}

    def first_pid(self) -> int | None:
        """Return the process id, outside of the sandbox, of process 1 in the sandbox. Waits up to 10 s.

        Returns None if bubblewrap made no sandbox.
        """
        until = time.monotonic() + _START_S
        while self._status >= 0:
            self._read_status()
            if (match := _CHILD_PID.search(self._report)) is not None and b"\n" in self._report:
                return int(match[1])
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            ready = poll.poll(max(until - time.monotonic(), 0) * 1000)
            if not ready or (ready[0][1] & select.POLLHUP and not ready[0][1] & select.POLLIN):
                return None
        return None

    def kill(self) -> None:
        """End the process that was started, if it has not ended. `Processes` ends all others."""
        with suppress(ProcessLookupError):  # nobody has waited for it yet, so its id belongs to no other process
            os.kill(self._process.pid, signal.SIGKILL)

    def end(self, *, first: int | None) -> tuple[int, Usage]:
        """Wait for the end of a program that has ended or was killed.

        Args:
            first: process 1 of its sandbox, which has become a child of this process; None without a sandbox.

        Returns:
            The exit code, which is negative for a signal as in `subprocess`, and the resources that it used.
        """
        _, state, own = os.wait4(self._process.pid, 0)
        self._process.poll()  # lets Popen notice that wait4 has fetched the status already
        code = os.waitstatus_to_exitcode(state)
        inside = _reaped(first) if first is not None else None
        self._read_status()
        # With a sandbox the peak of `own` is not used, because after a vfork the child starts with the worker's peak.
        return code, _usage([own, inside], inside) if inside is not None else _usage([own], own)

    @property
    def sandbox_was_made(self) -> bool:
        """True when bubblewrap has reported how the program ended."""
        return _EXIT_CODE.search(self._report) is not None

    def close(self) -> None:
        """Close the pipes, the status pipe and the pidfd. Call it once."""
        for pipe in (self._out, self._err):
            if pipe is not None:
                pipe.close()
        for fd in (self._status, self.handle):
            if fd >= 0:
                os.close(fd)

    def _read_status(self) -> None:
        with suppress(BlockingIOError):
            while self._status >= 0 and (data := os.read(self._status, 4096)):
                self._report += data


def _reaped(pid: int) -> resource.struct_rusage | None:
    """Wait for a killed process. Return the resources that it used, or None if it is not a child of this process."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if poll.poll(_END_S * 1000):
                return os.wait4(pid, os.WNOHANG)[2]
        finally:
            os.close(handle)
    return None


def _usage(spent: Sequence[resource.struct_rusage], peak: resource.struct_rusage) -> Usage:
    return Usage(
        cpu_s=sum(each.ru_utime + each.ru_stime for each in spent),
        peak_bytes=peak.ru_maxrss << 10,
        read_bytes=sum(each.ru_inblock for each in spent) * _BLOCK_BYTES,
        written_bytes=sum(each.ru_oublock for each in spent) * _BLOCK_BYTES,
    )
