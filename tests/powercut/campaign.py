"""A campaign: power on, check every promise, load, cut; again from what the cut left, N times, from one seed.

The seed fixes the load, when each cut comes and what it keeps. Processes and disks have timing of their own, so a
replay of a seed meets the same cuts, not the same microseconds.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast, get_args

import msgspec

from edge.core.layout import Layout
from edge.model import ScalingStatus, WorkerState
from edge.power.governor.pause import clear, set_pause
from edge.power.workers import by_hand
from tests.powercut import probe, programs
from tests.powercut.audit import Audit, named, until_true
from tests.powercut.disk import Event
from tests.powercut.jobs import digest_of_file
from tests.powercut.load import GIVEN_FILES, Load, Mood
from tests.powercut.oracle import Oracle, Sent
from tests.powercut.parcels import SIZES, Parcels
from tests.powercut.plan import Plan, When, plan, retiring, uploading
from tests.powercut.stack import Board, NotReady
from tests.powercut.trap import Moment, Trap
from tests.powercut.verdict import Summary, Verdict

#: FACTS: a store of RabbitMQ 3.10 that is younger than this may not survive a cut. Its own supervisor settles it.
BIRTH_S = 40.0
DRAIN_S = 120.0
_MARATHON_DRAIN_S = 2.0
_STALL_S = 0.4  # what a slow card or a busy core does to a process any day
_SLOW_S = 20.0  # a recovery that takes longer is worth a look at its logs
_AUDIT_EVERY = 10
_PAUSED_S = 20.0
_GIVEN_BACK_S = 10.0
#: After so many power-ons with bursts, each worker must have made results, some in groups, some of spawned children.
_ENOUGH_BURSTS = 3
_WORKERS, _SCALED = frozenset({"main", "second", "io"}), frozenset({"main", "extra-1", "io"})
_MOODS = {When.QUIET: Mood.QUIET, When.UPLOADS: Mood.UPLOADS}
#: So long a further worker may take to come.
_COMES_S = 30.0


class Campaign:
    """Cuts one board. `out` gets a line a cut; everything lies below `folder`, which is removed in the end."""

    _keep_files_s: float = 0.001
    _sizes: Sequence[int] = SIZES
    _with_programs = True

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        out: TextIO,
        evidence: Path,
        bug: str = "",
        newborn: bool = False,
        born: Path | None = None,
        marathon: int = 0,
        scaling: bool = False,
        files: bool = False,
    ) -> None:
        """What is cut, and how.

        `newborn`: cut the first power-on too, without letting the store settle. `born`: the image of a board that has
        settled; made there when it is missing. `marathon`: a job of so many steps, 25 a second, that outlasts cuts;
        while it runs, jobs may wait behind it, so only the last power-on asks for everything. `evidence` gets the
        logs of power-ons with faults. `scaling`: every cut comes while a further worker retires under load. `files`:
        most cuts come while files are uploaded.
        """
        self.folder, self.seed, self._out, self._evidence = folder, seed, out, evidence
        self._newborn, self._born = newborn, born
        self._programs = self._with_programs and programs.can_run()
        kinds = {"io": True, "scaled": scaling, "commands": self._programs}
        self.board = Board(folder, bug=bug, probed=True, keep_files_s=self._keep_files_s, **kinds)
        self._plan = retiring if scaling else uploading if files else plan
        self.oracle = Oracle()
        self.parcels = Parcels(self._sizes)
        self.audit = Audit(self.board, self.oracle)
        self.verdicts: list[Verdict] = []
        self._marathon = marathon  # steps of the long job, until it is handed in
        self._runner: Sent | None = None
        self._boot_s = 6.0  # how long a power-on takes, as learned
        self._began = time.monotonic()

    def run(self, cuts: int, *, until: float | None = None, stop_at_fault: bool = False) -> Summary:
        """Cut `cuts` times or until monotonic time `until`, then power on once more and let everything end."""
        try:
            self._birth()
            for number in range(1, cuts + 1):
                if until is not None and time.monotonic() > until:
                    break
                verdict = self._power_on(number, self._plan(self.seed, number))
                self._tell(verdict)
                if verdict.faults and stop_at_fault:
                    return self.summary()
            last = self._last()
            last.faults += self._not_tried()
            self._tell(last)
            return self.summary()
        finally:
            self.board.off()

    def _not_tried(self) -> list[str]:
        """What the load should have brought about and did not: such a campaign proves less than it says."""
        plans = [verdict.plan for verdict in self.verdicts]
        if sum(each.when in (When.BURST, When.RETIRING, When.UPLOADS) for each in plans) < _ENOUGH_BURSTS:
            return []
        if self._plan is uploading:
            return [] if self.parcels.counts()[2] else ["no upload ever went on after a cut"]
        missing = [] if probe.read(self.board.groups).groups else ["no group of two results was ever committed"]
        if not self.oracle.counts()["children"]:
            missing.append("no spawned child ever had a result")
        if self._programs and not self.oracle.counts()["programs"]:
            missing.append("no program ever had a result")
        wanted = _SCALED if self._plan is retiring else _WORKERS
        if not wanted.issubset(by_worker := self.oracle.by_worker()):
            missing.append(f"not every worker made results: {by_worker}")
        return missing

    def summary(self) -> Summary:
        """What is known so far."""
        bodies, jobs = self.board.bodies()
        cuts = sum(verdict.cut is not None for verdict in self.verdicts)
        return Summary(
            seed=self.seed,
            cuts=cuts,
            faults=[f"cut {verdict.number}: {fault}" for verdict in self.verdicts for fault in verdict.faults],
            loss_bound=3 / max(cuts, 1),
            **self.oracle.counts(),
            bodies=bodies,
            reruns=bodies - jobs,
            longest_ready_s=max((verdict.ready_s for verdict in self.verdicts), default=0.0),
            longest_done_s=max((verdict.done_s for verdict in self.verdicts), default=0.0),
            seconds=time.monotonic() - self._began,
            bug=self.board.bug,
            groups=probe.read(self.board.groups),
            by_worker=self.oracle.by_worker(),
            files=self.parcels.counts(),
            pauses=sum(verdict.plan.when is When.PAUSED for verdict in self.verdicts),
        )

    # ---- one power-on ----

    def _power_on(self, number: int, plan: Plan) -> Verdict:
        began = time.monotonic()
        verdict = Verdict(number, plan)
        load = None
        try:
            self._attach(verdict)
            if plan.when is When.BOOT:
                self._arm(plan)
                self.board.start()
                self._await_cut(plan, plan.after_s * self._boot_s)
            else:
                load = self._come_up(verdict, plan)
        except NotReady as err:
            verdict.faults.append(f"did not come up: {err}")
        if verdict.faults or verdict.done_s > _SLOW_S:
            self._keep_evidence(number)  # while the broker's log can be read
        verdict.cut = self.board.cut(plan.seed)
        if load is not None:
            verdict.faults += load.stop(before=verdict.cut.at)
        self.oracle.power_cut(verdict.cut.at)
        self.parcels.power_cut(verdict.cut.at)
        if verdict.faults:
            self._keep_evidence(number)
        verdict.seconds = time.monotonic() - began
        return verdict

    def _attach(self, verdict: Verdict) -> None:
        """Power on the disk, and look at what the last cut left before anything runs."""
        self.board.attach()
        clear(self.board.config.layout.pause)  # a cut may have come within a pause
        verdict.faults += self.oracle.check_disk(self.board.config.layout, at=time.monotonic())
        verdict.faults += self.oracle.check_ledger(self.board.config.layout, self.folder / "ledger-copy")
        wanted = {
            digest_of_file(sent.args)
            for sent in self.oracle.open(self.board.results, patient=True)
            if sent.kind in GIVEN_FILES
        }
        verdict.faults += self.parcels.check_disk(self.board.config.layout, wanted)
        verdict.drained = len(self.oracle.open(self.board.results))

    def _come_up(self, verdict: Verdict, plan: Plan) -> Load | None:
        """Boot, see to it that everything from before ends, then load the board; returns when its time has come."""
        self.board.start(alone=plan.alone)
        recovery = self.board.await_ready()
        verdict.broker_s, verdict.ready_s = recovery.broker_s, recovery.ready_s
        self._boot_s = 0.8 * self._boot_s + 0.2 * recovery.ready_s
        if plan.when is When.RECOVERY:
            self._arm(plan)
            self._await_cut(plan, plan.after_s)
            return None
        self._drain(verdict, DRAIN_S, patient=False)
        self._audit(verdict)
        if verdict.faults:
            return None
        trap = None
        if plan.at in get_args(Moment):
            trap = Trap(cast("Moment", plan.at), plan.count, lambda: self.board.volume.cut(plan.seed))
        load = self._load(plan, trap)
        if self._marathon:
            self._runner = load.marathon(self._marathon)
            self._marathon = 0
        if plan.when is When.RETIRING:
            load.start()
            self._scale(verdict, 1)
            self._scale(verdict, 0)
            self._arm(plan)  # only now: the count itself is a write
        else:
            self._arm(plan)
            load.start()
        if plan.when is When.PAUSED:
            self._pause(verdict, plan)
        self._await_cut(plan, plan.after_s)
        if plan.stall is not None:
            self.board.signal(plan.stall, signal.SIGSTOP)
            time.sleep(_STALL_S)
        return load

    def _scale(self, verdict: Verdict, count: int) -> None:
        """Set the count of the further worker by hand; with 1 it is at work on return, with 0 it is told to retire."""
        layout = self.board.config.layout
        by_hand.put(layout.scale_by_hand, "extra", count, for_s=600.0)
        if count and not until_true(lambda: self._works("extra-1"), _COMES_S):
            verdict.faults.append(f"no further worker comes within {_COMES_S:g} s: {self.board.statuses()}")
        elif not count and not until_true(lambda: _told(layout) == 0, _COMES_S):
            verdict.faults.append(f"the governor does not retire the further worker: {self.board.statuses()}")

    def _works(self, name: str) -> bool:
        works = (WorkerState.IDLE, WorkerState.RUNNING)
        return any(status.name == name and status.state in works for status in self.board.statuses())

    def _pause(self, verdict: Verdict, plan: Plan) -> None:
        """Pause the board under load: workers let go of all they have, and nothing starts until it is resumed."""
        time.sleep(plan.after_s)
        pause = self.board.config.layout.pause
        set_pause(pause, by="the rig")
        try:
            if not until_true(self._all_paused, _PAUSED_S):
                verdict.faults.append(f"not every worker pauses within {_PAUSED_S:g} s: {self.board.statuses()}")
                return
            begun = self.board.bodies()[0]
            # The broker has yet to take what a worker has just given back or acknowledged.
            if not until_true(self._all_given_back, _GIVEN_BACK_S):
                verdict.faults.append(
                    f"{_GIVEN_BACK_S:g} s after all workers paused, {self.board.in_hand()} messages are still in their "
                    f"hands, which hold {self._running()} bodies"
                )
            if (more := self.board.bodies()[0] - begun) > 0:
                verdict.faults.append(f"{more} bodies began while the board was paused")
        finally:
            clear(pause)

    def _all_paused(self) -> bool:
        """True when no body goes on: those of the worker of threads that ask are held where they are."""
        rests = (WorkerState.PAUSED, WorkerState.HELD)
        statuses = self.board.statuses()
        return bool(statuses) and all(status.state in rests for status in statuses)

    def _all_given_back(self) -> bool:
        """True when paused workers have messages only of bodies that are held."""
        return self.board.in_hand() <= self._running()

    def _running(self) -> int:
        """How many bodies have begun and not ended, held ones among them."""
        return sum(len(status.running) for status in self.board.statuses())

    def _last(self) -> Verdict:
        """The power stays: every job that was ever accepted must end."""
        began = time.monotonic()
        verdict = Verdict(len(self.verdicts) + 1, Plan(When.RECOVERY, 0.0, 0))
        try:
            self._attach(verdict)
            self.board.start()
            recovery = self.board.await_ready()
            verdict.broker_s, verdict.ready_s = recovery.broker_s, recovery.ready_s
            self._drain(verdict, 3 * DRAIN_S, patient=True)
            self._audit(verdict)
            self.board.volume.sync()
        except NotReady as err:
            verdict.faults.append(f"did not come up: {err}")
        if verdict.faults:
            self._keep_evidence(verdict.number)
        self.board.off()
        self._attach(verdict)
        self.board.off()
        if problems := self.board.volume.problems():
            verdict.faults.append(f"e2fsck: {problems[:200]}")
        verdict.seconds = time.monotonic() - began
        return verdict

    def _drain(self, verdict: Verdict, limit_s: float, *, patient: bool) -> None:
        """Wait until every accepted job has its result."""
        results = self.board.results
        waiting = self.oracle.open(results, patient=patient) or self._children(verdict, patient=patient)
        runner = None if patient else self._runner
        if runner is not None and not results.has(runner.id):
            limit_s = _MARATHON_DRAIN_S
        else:
            runner = None
        deadline = time.monotonic() + limit_s
        began = time.monotonic()
        while waiting and time.monotonic() < deadline and not self._written_off(waiting, time.monotonic() - began):
            time.sleep(0.05)
            # What ends here may have spawned others, which are to end as well.
            waiting = [sent for sent in waiting if not results.has(sent.id)] or self._children(verdict, patient=patient)
        verdict.done_s = self.board.since_on_s
        waiting = [sent for sent in waiting if sent.accepted_at is not None]
        if runner is None:
            late = f"was accepted and has no result {limit_s:g} s after a boot"
            verdict.faults += [f"{named(sent)} {late}: {self.audit.said_of(sent)}" for sent in waiting]

    def _children(self, verdict: Verdict, *, patient: bool) -> list[Sent]:
        """Jobs without a result that are named by results which nobody has seen yet."""
        verdict.faults += self.audit.families()
        return self.oracle.open(self.board.results, patient=patient)

    def _written_off(self, waiting: list[Sent], after_s: float) -> bool:
        """No cut is a reason to wait for a job no longer."""
        return False

    def _audit(self, verdict: Verdict) -> None:
        verdict.faults += self.audit.newest(20 if verdict.number % _AUDIT_EVERY else 200)

    # ---- the parts ----

    def _birth(self) -> None:
        """A new board: formatted, configured, its broker's store settled, unless newborn boards are to be cut."""
        volume = self.board.volume
        if self._born is not None and self._born.exists():
            volume.copy_from(self._born)
            self.board.attach()
            self.board.configure()  # its ports and run folder are this campaign's
            self.board.off()
            return
        volume.format()
        self.board.attach()
        self.board.configure()
        if not self._newborn:
            self.board.start()
            self.board.await_ready()
            settled = self.board.root / "broker" / "store" / "settled"
            if not until_true(settled.exists, BIRTH_S):
                raise NotReady(f"the store did not settle in {BIRTH_S:g} s")
        volume.sync()
        self.board.off()
        if self._born is not None:
            volume.copy_to(self._born)

    def _load(self, plan: Plan, trap: Trap | None) -> Load:
        results, config = self.board.results, self.board.config
        return Load(
            self.oracle,
            port=self.board.port,
            broker_config=config.broker,
            seed=plan.seed,
            open_jobs=lambda: len(self.oracle.open(results)),
            trap=trap,
            mood=_MOODS.get(plan.when, Mood.BURSTS if plan.bursts else Mood.CROWD),
            parcels=self.parcels,
            programs=self._programs,
        )

    def _arm(self, plan: Plan) -> None:
        if plan.at in get_args(Event):
            self.board.volume.disk.arm(cast("Event", plan.at), plan.count, plan.seed)

    def _await_cut(self, plan: Plan, after_s: float) -> None:
        """Return when the time has come, or the armed cut; an armed one that does not come is made in the end."""
        deadline = time.monotonic() + (after_s if plan.at is None else self._boot_s if plan.when is When.BOOT else 4.0)
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.02))
            if plan.at is not None and self.board.volume.disk.traffic().dead:
                return

    def _tell(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self.say(str(verdict))

    def say(self, line: str) -> None:
        """A line for whoever watches."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def _keep_evidence(self, number: int) -> None:
        """Keep the log of a power-on that failed, and the broker's."""
        self._evidence.mkdir(parents=True, exist_ok=True)
        broker = self.board.root / "broker" / "log"
        for log in (self.board.log, broker / "edge@localhost.log", broker / "console.log"):
            with suppress(OSError):  # the power may be gone already
                shutil.copy(log, self._evidence / f"{number}-{log.name}")


def _told(layout: Layout) -> int | None:
    """How many further workers the governor wants."""
    try:
        entries = msgspec.json.decode(layout.scaling.read_bytes(), type=ScalingStatus).entries
    except (OSError, msgspec.DecodeError):
        return None
    return entries[0].wanted
