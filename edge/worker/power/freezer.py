"""Stops a worker's process while power does not allow its job, and wakes it: `python -m edge.worker.power.freezer`.

A stopped process cannot wake itself, and a process in a long C call cannot stop itself. So this small child process of
the worker does both. The worker writes the job that it runs to the stdin of this process. This process stops the worker
and the worker's child processes, writes the reason to a file, counts the time in shared memory, and pings the watchdog
meanwhile. If this process dies, its stdout closes and the kernel sends the worker SIGCONT. So the worker never stays
frozen without a freezer.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from edge.core import durable, notify
from edge.core.host import boot_id
from edge.core.wakeup import Wakeup
from edge.core.watch import Watch
from edge.model import ALLOWED, FrozenJob, Power, PowerState, PowerStatus, WaitReason
from edge.power import status

#: Two doubles: seconds frozen so far, and the start of the current freeze (CLOCK_MONOTONIC, or 0 if not frozen).
CLOCK = struct.Struct("dd")
_NO_REPORT = PowerStatus(PowerState.UNKNOWN, "no-governor", "")


class Freezer:
    """Stops and wakes the worker process `pid`. `take_line` tells it which job runs. Belongs to one thread."""

    def __init__(self, pid: int, *, power: Path, orders: Path, note: Path, clock: mmap.mmap) -> None:
        self._pid, self._power, self._orders, self._note, self._clock = pid, power, orders, note, clock
        self._job: tuple[str, Power] | None = None
        self._ending = False  # the running job must end, so it is not frozen any more
        self._family: list[int] = []  # process ids of the stopped worker and its descendants
        self._held: WaitReason | None = None
        self.report = _NO_REPORT

    @property
    def frozen(self) -> bool:
        """True while the worker is stopped by this freezer."""
        return bool(self._family)

    @property
    def busy(self) -> bool:
        """True while a job runs that may be stopped."""
        return self._job is not None and not self._ending

    def take_line(self, line: str) -> None:
        """Handle a line from the worker: `ID CLASS` when a job begins, an empty line at its end."""
        job_id, _, klass = line.partition(" ")
        self._job = (job_id, Power(klass)) if job_id else None
        self._ending = False

    def end_job(self) -> None:
        """Note that the running job must end, so it is not frozen any more."""
        self._ending = True

    def decide(self) -> None:
        """Read the report and the orders, and stop or wake the worker."""
        self.report = report = status.read(self._power)
        job = self._job
        if job is not None and (self._orders / f"{job[0]}.cancel").exists():
            self._ending = True
        # At `critical` the job runs for its grace time: a stopped process cannot save its state.
        if job is None or self._ending or job[1] in ALLOWED[report.state] or report.state is PowerState.CRITICAL:
            self.thaw()
            return
        if not self.frozen:
            self._freeze()
        held = WaitReason(
            self._held.since if self._held else time.time(),
            f"power is {report.state} ({report.reason})",
            until=report.until,
            frozen=True,
        )
        if held != self._held:
            self._held = held
            with suppress(OSError):  # stopping the job matters more than reporting it
                durable.replace_volatile(self._note, msgspec.json.encode(FrozenJob(job[0], self._pid, boot_id(), held)))

    def thaw(self) -> None:
        """Wake the worker and its descendants if they are stopped."""
        if not self.frozen:
            return
        total_s, since = CLOCK.unpack_from(self._clock)
        CLOCK.pack_into(self._clock, 0, total_s + time.monotonic() - since, 0.0)
        self._note.unlink(missing_ok=True)
        for pid in reversed(self._family):
            _send(pid, signal.SIGCONT)
        self._family, self._held = [], None

    def _freeze(self) -> None:
        total_s, _ = CLOCK.unpack_from(self._clock)
        CLOCK.pack_into(self._clock, 0, total_s, time.monotonic())
        self._family = [self._pid]
        _send(self._pid, signal.SIGSTOP)  # before its descendants, so that it starts no more processes
        # In a loop, because a process that was not stopped yet may have started others meanwhile.
        while started := [pid for pid in descendants(self._pid) if pid not in self._family]:
            for pid in started:
                self._family.append(pid)
                _send(pid, signal.SIGSTOP)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """Return the living descendants of `pid`, without this process."""
    found: list[int] = []
    with suppress(OSError):  # the process may end meanwhile
        for children in list(Path(f"/proc/{pid}/task").glob("*/children")):
            found += map(int, children.read_text().split())
    return [each for child in found if child != os.getpid() for each in (child, *descendants(child))]


def _lines(fd: int, rest: bytes) -> tuple[list[str], bytes]:
    """Read from `fd`. Return the complete lines and the incomplete rest. Raises EOFError if the worker has ended."""
    data = os.read(fd, 4096)
    if not data:
        raise EOFError
    *lines, rest = (rest + data).split(b"\n")
    return [line.decode() for line in lines], rest


def main(argv: list[str]) -> int:
    """Freeze and wake a worker until it closes the stdin of this process. Return the exit code.

    Args:
        argv: the worker's process id, the path of power.json, the folder of orders, the path of the note to write, the
            descriptor of the shared memory, and the seconds between two pings of the watchdog, or 0 for no pings.
    """
    power, orders, note = map(Path, argv[1:4])
    ping_s = float(argv[5]) or None
    orders.mkdir(parents=True, exist_ok=True)
    # A supervisor may signal the whole process group. The worker must be awake then to handle its own signal.
    stops, numbers = Wakeup(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with closing(stops), stops.signals(numbers), mmap.mmap(int(argv[4]), CLOCK.size) as clock:
        watch, orders_watch = Watch(power.parent), Watch(orders)
        freezer = Freezer(int(argv[0]), power=power, orders=orders, note=note, clock=clock)
        note.unlink(missing_ok=True)
        rest = b""
        try:
            while True:
                ready = _sleep(freezer, [0, stops.fileno(), watch.fileno(), orders_watch.fileno()], ping_s)
                watch.read(), orders_watch.read()
                if stops.clear():
                    freezer.end_job()
                if 0 in ready:
                    lines, rest = _lines(0, rest)
                    for line in lines[-1:]:  # only the newest one counts
                        freezer.take_line(line)
                if freezer.frozen and ping_s:
                    notify.alive()
                freezer.decide()
        except EOFError:
            return 0
        finally:
            freezer.thaw()


def _sleep(freezer: Freezer, fds: list[int], ping_s: float | None) -> set[int]:
    """Block until something may have changed. Without a job only stdin and signals matter."""
    timeout_s = ping_s if freezer.frozen else None
    if freezer.busy:
        return status.wait(freezer.report, fds, timeout_s)
    return status.wait(_NO_REPORT, fds[:2], timeout_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
