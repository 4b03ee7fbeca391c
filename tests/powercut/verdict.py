"""Holds the outcome of a power-on and of a campaign, and formats each as a line."""

from __future__ import annotations

import msgspec

from tests.powercut.disk import Cut
from tests.powercut.plan import Plan
from tests.powercut.probe import Groups


class Verdict(msgspec.Struct, omit_defaults=True):
    """The outcome of one power-on."""

    number: int
    plan: Plan
    faults: list[str] = []
    broker_s: float = 0.0
    ready_s: float = 0.0
    drained: int = 0
    done_s: float = 0.0
    cut: Cut | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        kept = f"{self.cut.keep} {self.cut.kept}/{self.cut.at_stake}" if self.cut else "-"
        came_up = f"ready {self.ready_s:4.1f} s (broker {self.broker_s:4.1f})" if self.ready_s else ""
        drained = f"{self.drained:3} done {self.done_s:4.1f} s" if self.done_s else ""
        verdict = f"FAULT {self.faults[0]}" if self.faults else "ok"
        return (
            f"cut {self.number:4}  {self.plan}  {kept:<13} {came_up:<28} {drained:<16} {self.seconds:5.1f} s  {verdict}"
        )


class Summary(msgspec.Struct):
    """The outcome of a campaign.

    `loss_bound` is the upper bound (95 %) of faults for each cut if there were none in N cuts: 3/N.
    """

    seed: int
    cuts: int
    faults: list[str]
    loss_bound: float
    sent: int
    accepted: int
    finished: int
    bodies: int
    reruns: int
    longest_ready_s: float
    longest_done_s: float
    seconds: float
    bug: str = ""
    groups: Groups = Groups()
    by_worker: dict[str, int] = {}
    pauses: int = 0
    files: tuple[int, int, int] = (0, 0, 0)  # uploads begun, submitted with a job, continued after a cut
    programs: int = 0  # results of programs found on the disk after a cut
    children: int = 0  # results of spawned jobs found on the disk after a cut

    def __str__(self) -> str:
        outcome = f"{len(self.faults)} FAULTS" if self.faults else "0 faults"
        pace = f"{self.seconds:.0f} s ({self.seconds / max(self.cuts, 1):.1f} s a cut)"
        workers = ", ".join(f"{name} {count}" for name, count in sorted(self.by_worker.items())) or "none"
        return (
            f"seed {self.seed}: {self.cuts} cuts in {pace}, "
            f"{outcome}; with none, loss rate < 3/N = {self.loss_bound:.4f} a cut (95 %); "
            f"{self.accepted} jobs accepted of {self.sent} sent, {self.finished} finished, {self.bodies} bodies, "
            f"{self.reruns} reruns; longest recovery {self.longest_ready_s:.1f} s to ready, "
            f"{self.longest_done_s:.1f} s to all done; "
            f"{self.groups.groups} groups of 2 to {self.groups.largest} results, {self.groups.results} in all, "
            f"{self.groups.refused} with a member refused; {self.pauses} pauses; "
            f"{self.files[0]} files, {self.files[1]} of them with a job, {self.files[2]} uploads resumed after a cut; "
            f"{self.programs} results of programs; "
            f"{self.children} results of spawned children; results by worker: {workers}"
        )
