"""`python -m edge.worker.power.freezer`: stops a worker's process while power does not allow its job, and wakes it.

A stopped process cannot wake itself up, and one deep in a C call cannot stop itself: so this small one stands beside
it, its child and asleep in the kernel. The worker says on our stdin which job it runs; we stop it and the processes it
started, tell why in a file, count the time into memory that both share, and keep its watchdog quiet. Should we die,
our stdout closes, for which the kernel sends the worker SIGCONT: nobody stays frozen for want of us.
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

#: Two doubles: seconds frozen so far, and since when it is frozen now (CLOCK_MONOTONIC; 0: it is not).
CLOCK = struct.Struct("dd")
_NOBODY = PowerStatus(PowerState.UNKNOWN, "no-governor", "")


class Freezer:
    """Decides for the worker `pid`, whose job it learns by `take_line`."""

    def __init__(self, pid: int, *, power: Path, orders: Path, note: Path, clock: mmap.mmap) -> None:
        self._pid, self._power, self._orders, self._note, self._clock = pid, power, orders, note, clock
        self._job: tuple[str, Power] | None = None
        self._let_go = False  # of this job: somebody wants it to end
        self._family: list[int] = []
        self._held: WaitReason | None = None
        self.said = _NOBODY

    @property
    def frozen(self) -> bool:
        """True while the process is stopped by us."""
        return bool(self._family)

    @property
    def busy(self) -> bool:
        """True while there is a job that might be stopped."""
        return self._job is not None and not self._let_go

    def take_line(self, line: str) -> None:
        """A line of the worker: `ID CLASS` for a job that begins, nothing for its end."""
        job_id, _, klass = line.partition(" ")
        self._job = (job_id, Power(klass)) if job_id else None
        self._let_go = False

    def let_go(self) -> None:
        """Somebody wants the running job to end: it is not to be frozen any more."""
        self._let_go = True

    def decide(self) -> None:
        """Look at everything, and stop or wake the process."""
        self.said = said = status.read(self._power)
        job = self._job
        if job is not None and (self._orders / f"{job[0]}.cancel").exists():
            self._let_go = True
        # At `critical` it runs for its grace: what is stopped can save nothing.
        if job is None or self._let_go or job[1] in ALLOWED[said.state] or said.state is PowerState.CRITICAL:
            self.thaw()
            return
        if not self.frozen:
            self._freeze()
        held = WaitReason(
            self._held.since if self._held else time.time(),
            f"power is {said.state} ({said.reason})",
            until=said.until,
            frozen=True,
        )
        if held != self._held:
            self._held = held
            with suppress(OSError):  # the job matters more than the word about it
                durable.replace_volatile(self._note, msgspec.json.encode(FrozenJob(job[0], self._pid, boot_id(), held)))

    def thaw(self) -> None:
        """Wake the process if it is stopped."""
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
        _send(self._pid, signal.SIGSTOP)  # first: it starts no more of them
        for pid in _descendants(self._pid):
            self._family.append(pid)
            _send(pid, signal.SIGSTOP)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and theirs, as far as they still live; not this one."""
    found: list[int] = []
    with suppress(OSError):  # one that ended meanwhile
        for children in list(Path(f"/proc/{pid}/task").glob("*/children")):
            found += map(int, children.read_text().split())
    return [each for child in found if child != os.getpid() for each in (child, *_descendants(child))]


def _lines(fd: int, rest: bytes) -> tuple[list[str], bytes]:
    """Whole lines that came, and what is left over. Raises EOFError when the worker is gone."""
    data = os.read(fd, 4096)
    if not data:
        raise EOFError
    *lines, rest = (rest + data).split(b"\n")
    return [line.decode() for line in lines], rest


def main(argv: list[str]) -> int:
    """Stand beside a worker until it closes our stdin.

    `argv`: its process id, power.json, the orders, the note to write, the descriptor of the shared memory, and how
    often its watchdog wants to be pinged.
    """
    power, orders, note = map(Path, argv[1:4])
    ping_s = float(argv[5]) or None
    orders.mkdir(parents=True, exist_ok=True)
    # Asked to stop together with our worker: it must hear of it.
    asked, numbers = Wakeup(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with closing(asked), asked.signals(numbers), mmap.mmap(int(argv[4]), CLOCK.size) as clock:
        watch, orders_watch = Watch(power.parent), Watch(orders)
        freezer = Freezer(int(argv[0]), power=power, orders=orders, note=note, clock=clock)
        note.unlink(missing_ok=True)
        rest = b""
        try:
            while True:
                ready = _sleep(freezer, [0, asked.fileno(), watch.fileno(), orders_watch.fileno()], ping_s)
                watch.read(), orders_watch.read()
                if asked.hush():
                    freezer.let_go()
                if 0 in ready:
                    lines, rest = _lines(0, rest)
                    for line in lines[-1:]:  # only what holds now
                        freezer.take_line(line)
                if freezer.frozen and ping_s:
                    notify.alive()
                freezer.decide()
        except EOFError:
            return 0
        finally:
            freezer.thaw()


def _sleep(freezer: Freezer, fds: list[int], ping_s: float | None) -> set[int]:
    """Block until something may have changed; without a job only the worker itself can change anything."""
    timeout_s = ping_s if freezer.frozen else None
    if freezer.busy:
        return status.wait(freezer.said, fds, timeout_s)
    return status.wait(_NOBODY, fds[:2], timeout_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
