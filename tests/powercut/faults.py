"""A fault campaign injects faults while the power stays on: each comes under load, ends, and must lose nothing.

A round with a failing disk ends with a power cut, as on a real board, because ext4 takes no writes after its journal
failed once.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from typing import cast

from edge.up.broker import rabbitmq
from tests.powercut.audit import until_true
from tests.powercut.campaign import Campaign
from tests.powercut.client import Http
from tests.powercut.oracle import Sent, Way
from tests.powercut.plan import Plan, When
from tests.powercut.stack import NotReady, Part
from tests.powercut.verdict import Verdict

#: Erlang expressions that set a limit at which the broker blocks publishers (`_RAISE`), and the configured one again.
_RAISE = {
    "memory": "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000}).",
    "disk": "rabbit_disk_monitor:set_disk_free_limit(1000000000000).",
}
_CLEAR = {
    "memory": f"vm_memory_monitor:set_vm_memory_high_watermark({{absolute, {rabbitmq.memory_limit_bytes()}}}).",
    "disk": f"rabbit_disk_monitor:set_disk_free_limit({rabbitmq.DISK_LIMIT_BYTES}).",
}
_WRITE_OFF_S = 60.0
ROUND_DRAIN_S = 120.0  # a part that dies often may be restarted only after 30 s


class Kind(StrEnum):
    """The kinds of fault."""

    KILL_GATEWAY = "kill gateway"
    KILL_WORKER = "kill worker"
    KILL_BROKER = "kill broker"
    STOP_GATEWAY = "stop gateway"
    STOP_WORKER = "stop worker"
    STOP_BROKER = "stop broker"
    RESTART_BROKER = "restart broker"
    NET_RESET = "net reset"
    NET_MUTE = "net mute"
    NET_LOSS = "net loss"
    MEMORY_ALARM = "alarm memory"
    DISK_ALARM = "alarm disk"
    DISK_FULL = "disk full"
    DISK_WRITE = "disk EIO on write"
    DISK_FLUSH = "disk EIO on flush"


class FaultCampaign(Campaign):
    """Faults in place of cuts; the board, the load, the oracle and the checks are the same."""

    written_off = 0  # plain Celery messages that a full disk took from the broker
    _kind: Kind
    _with_programs = False  # a program whose write a full disk refuses fails, and so does its job
    #: After a restart the gateway could remove a file before its job is submitted. So files are kept, and are small.
    _keep_files_s = 3600.0
    _sizes = (1, 4096, 200_000)

    def run_faults(self, count: int, *, kinds: Sequence[Kind], until: float | None = None) -> int:
        """Inject `count` faults of these kinds, and return how many were injected; the summary lists what broke."""
        injected = 0
        self.board.proxied = True
        try:
            self._birth()
            for number in range(1, count + 1):
                if until is not None and time.monotonic() > until:
                    break
                rng = random.Random(f"{self.seed}:fault:{number}")
                began = time.monotonic()
                kind = rng.choice(kinds)
                verdict = self._round(number, kind, rng)
                injected += 1
                verdict.seconds = time.monotonic() - began
                self.verdicts.append(verdict)
                outcome = f"FAULT {verdict.faults[0]}" if verdict.faults else "ok"
                self.say(
                    f"fault {number:4}  {kind:<18} done {verdict.done_s:5.1f} s  {verdict.seconds:5.1f} s  {outcome}"
                )
            if self.board.volume.attached:
                self._end(Verdict(0, Plan(When.LOAD, 0.0, 0)), seed=self.seed)
            self._tell(self._last())
            return injected
        finally:
            self.board.off()

    def _round(self, number: int, kind: Kind, rng: random.Random) -> Verdict:
        plan = Plan(When.LOAD, 0.0, rng.getrandbits(32))
        verdict = Verdict(number, plan)
        self._kind = kind
        try:
            if not self.board.volume.attached:
                self._attach(verdict)
                self.board.start()
                self.board.await_ready()
            load = self._load(plan, None)
            load.start()
            time.sleep(rng.uniform(0.2, 1.0))
            self._inject(kind, rng)
            time.sleep(rng.uniform(0.2, 1.0))
            failing = kind in (Kind.DISK_WRITE, Kind.DISK_FLUSH)
            if failing:
                self._end(verdict, seed=plan.seed)
                verdict.faults += load.stop(before=self._cut_at)
                self.oracle.power_cut(self._cut_at)
                self.parcels.power_cut(self._cut_at)
                return verdict
            verdict.faults += load.stop(before=time.monotonic())
            ended = time.monotonic()
            self._drain(verdict, ROUND_DRAIN_S, patient=kind is Kind.DISK_FULL)
            verdict.done_s = time.monotonic() - ended
            if until_true(self._gateway_answers, ROUND_DRAIN_S):
                self._audit(verdict)
            else:
                verdict.faults.append(f"the gateway does not answer {ROUND_DRAIN_S:g} s after {kind}")
        except NotReady as err:
            verdict.faults.append(f"did not come up: {err}")
        if verdict.faults:
            self._keep_evidence(number)
            for sent in self.oracle.open(self.board.results, patient=True):
                sent.accepted_at = None
            self._end(verdict, seed=plan.seed)  # so that the next round does not start with this round's fault
            self.oracle.power_cut(self._cut_at)
            self.parcels.power_cut(self._cut_at)
        return verdict

    def _written_off(self, waiting: list[Sent], after_s: float) -> bool:
        """Write off messages that RabbitMQ lost to a full disk; return True if all that wait are such messages.

        Only plain Celery messages can be lost so, because only the broker knows them. They are counted separately.
        """
        if self._kind is not Kind.DISK_FULL or after_s < _WRITE_OFF_S:
            return False
        if any(sent.way is not Way.CELERY for sent in waiting):
            return False
        for sent in waiting:
            sent.accepted_at = None
        self.written_off += len(waiting)
        return True

    def _inject(self, kind: Kind, rng: random.Random) -> None:
        action, _, what = kind.partition(" ")
        hold_s = rng.uniform(0.5, 3.0)
        match action, what:
            case "kill", _:
                self.board.signal(cast("Part", what), signal.SIGKILL)
            case "stop", _:
                self.board.signal(cast("Part", what), signal.SIGSTOP)
                time.sleep(hold_s)
                self.board.signal(cast("Part", what), signal.SIGCONT)
            case "restart", _:
                self.board.signal("broker", signal.SIGTERM)
            case "net", "reset":
                self.board.signal("proxy", signal.SIGUSR1)
            case "net", "mute":
                self.board.signal("proxy", signal.SIGSTOP)
                time.sleep(hold_s)
                self.board.signal("proxy", signal.SIGCONT)
            case "net", "loss":  # data on its way is lost first; only later do both ends see a reset
                self.board.signal("proxy", signal.SIGUSR2)
                time.sleep(hold_s)
                self.board.signal("proxy", signal.SIGUSR1)
            case "alarm", _:
                with self._alarm(what):
                    time.sleep(hold_s)
            case "disk", "full":
                with self._full_disk():
                    time.sleep(hold_s)
            case "disk", _:
                event = "write" if kind is Kind.DISK_WRITE else "flush"
                self.board.volume.disk.fail("write" if event == "write" else "flush", errno.EIO, rng.randint(1, 5))
                time.sleep(hold_s)

    def _end(self, verdict: Verdict, *, seed: int) -> None:
        verdict.cut = self.board.cut(seed)
        self._cut_at = verdict.cut.at

    def _gateway_answers(self) -> bool:
        client = Http(self.board.port)
        try:
            return client.ask("GET", "/v1/healthz")[0] == 200
        except (OSError, HTTPException):
            return False
        finally:
            client.close()

    @contextmanager
    def _alarm(self, what: str) -> Iterator[None]:
        """Raise the broker's own alarm by a limit that it exceeds at once; restore the configured limit at the end."""
        self.board.ask_broker(_RAISE[what])
        try:
            yield
        finally:
            self.board.ask_broker(_CLEAR[what])

    def _full_disk(self) -> _Filler:
        return _Filler(self.board.volume.mount / "filler")


class _Filler:
    """A context in which a file takes every free block of the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = 0
            for chunk in (64 << 20, 1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(fd, size, chunk)
                        size += chunk
        finally:
            os.close(fd)

    def __exit__(self, *_: object) -> None:
        self._path.unlink()
