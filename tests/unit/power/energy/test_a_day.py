"""Simulated days of a board whose true watts are known. Receipts and idle energy add up to the energy of the shunt.

Governor, shunt, meter, the sums of the gateway and the statement are the real ones. Only the clocks are simulated.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from edge.config.power import CriticalConfig, PowerConfig
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.background.activity import Activity
from edge.model import JobState, Result, Statement
from edge.power import status
from edge.power.energy import bodies, calibration, statement
from edge.power.governor.governor import Governor
from edge.power.sources.plain import PlainConfig
from edge.power.sources.shunt import ShuntConfig
from edge.worker.power.meter import Meter

IDLE_W, CORE_W = 1.2, 1.5
#: 2026-11-10 00:00 UTC.
MIDNIGHT = 1_794_268_800.0


@dataclass(frozen=True)
class Body:
    """One job of the day."""

    begins: float
    seconds: float
    cores: float  # number of cores that it keeps busy
    thread: bool = False
    kind: str = "solve"

    @property
    def ends(self) -> float:
        return self.begins + self.seconds


class PlayedDay:
    """Simulates the bodies with a real governor, and records their receipts."""

    def __init__(self, folder: Path, jobs: list[Body], monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.layout = Layout(folder / "root", folder / "run")
        made = (self.layout.policy, self.layout.simulated, self.layout.pause, self.layout.running / "x")
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.chip = folder / "hwmon" / "hwmon0"
        self.chip.mkdir(parents=True)
        for name, text in (("name", "ina219"), ("in1_input", "5000"), ("shunt_resistor", "10000")):
            (self.chip / name).write_text(text)
        self.jobs, self.random = jobs, random.Random(seed)
        self.names = {job: f"{'io' if job.thread else 'main'}{number}.json" for number, job in enumerate(jobs)}
        self.meters: dict[Body, Meter] = {}  # of the running bodies
        self.at = 0.0  # seconds since midnight
        self.true_j = self.true_idle_j = 0.0
        began = time.monotonic()
        monkeypatch.setattr(time, "time", lambda: MIDNIGHT + self.at)
        monkeypatch.setattr(time, "monotonic", lambda: began + self.at)
        self.results: list[Result] = []

    @property
    def watts(self) -> float:
        """The true draw of the board now."""
        return IDLE_W + CORE_W * sum(job.cores for job in self.meters)

    def play(self, hours: float = 24.0, *, notices: bool = False) -> Statement:
        """Simulate the day, and return the statement of its month.

        With `notices` the governor is told of each begin and end of a body after 0.2 s, as by the status of a worker.
        """
        shunt = ShuntConfig(root=self.chip.parent, measures="board", frozen_after_s=0)
        config = PowerConfig(sources=(PlainConfig(), shunt), critical=CriticalConfig(action="none"))
        governor = Governor(config, self.layout, wake=lambda: None)
        began: dict[float, list[Body]] = {}
        for job in self.jobs:
            began.setdefault(job.begins, []).append(job)
        events = sorted({hours * 3600.0, *began, *(job.ends for job in self.jobs)})
        for event in events:
            before = self.at
            self._govern(governor, until=event)
            self.true_j += self.watts * (self.at - before)
            if all(job.thread for job in self.meters):
                self.true_idle_j += IDLE_W * (self.at - before)
            for job in [job for job in self.meters if job.ends <= self.at]:
                self._end(job)
            for job in began.get(event, []):
                self._begin(job)
            if notices and event < hours * 3600:
                self.true_j += self.watts * 0.2
                self.true_idle_j += IDLE_W * 0.2 * all(job.thread for job in self.meters)
                self.at += 0.2
                self._measure()
                governor.workers_changed(time.monotonic())
                self._note()
        governor.close()
        asyncio.run(self._book())
        return statement.of_month(self.layout, "2026-11")

    def _govern(self, governor: Governor, *, until: float) -> None:
        while True:
            wait_s = governor.wait_s(time.monotonic())
            due = self.at + (wait_s or 0.0)
            if due >= until:
                self.at = until
                return
            self.at = due
            self._measure()
            governor.turn(time.monotonic())
            self._note()
            self.at += 0.001

    def _measure(self) -> None:
        noise = self.random.gauss(1.0, 0.03)
        (self.chip / "curr1_input").write_text(str(round(self.watts * noise / 5 * 1000)))

    def _note(self) -> None:
        for meter in self.meters.values():
            meter.note(status.read(self.layout.power))

    def _begin(self, job: Body) -> None:
        found = calibration.read(self.layout.calibration)
        idle_w, core_w = (0.0, 1.0) if found is None else (found.idle_watts, found.cpu_watts)
        self._mark(job, running=True)
        self.meters[job] = Meter(
            core_w, status.read(self.layout.power), alone=not job.thread, idle_watts=idle_w,
            others=lambda: max(0, bodies.alone(self.layout) - 1),
        )  # fmt: skip

    def _end(self, job: Body) -> None:
        energy = self.meters.pop(job).end(seconds=job.seconds, cpu_seconds=job.seconds * job.cores, held_s=0.0)
        self._mark(job, running=False)
        self.results.append(
            Result(
                f"{len(self.results):08x}", job.kind, JobState.SUCCEEDED, finished_at=time.time(), energy=energy,
                submitter="laptop", started_at=time.time() - job.seconds,
            )
        )  # fmt: skip

    def _mark(self, job: Body, *, running: bool) -> None:
        path = self.layout.running / self.names[job]
        mark = {"id": self.names[job], "boot_id": boot_id(), "pid": os.getpid(), "ran": int(job.thread)}
        if running:
            path.write_bytes(msgspec.json.encode(mark))
        else:  # a real worker empties the file; here, a thousand empty files would be read again and again
            path.unlink()

    async def _book(self) -> None:
        activity = Activity(self.layout.activity, open_jobs=lambda: 0)
        activity.ended(self.results)
        await activity.stop()


def one_after_another(seed: int, *, shortest: float, longest: float, share: float, hours: float = 24.0) -> list[Body]:
    """Return bodies of the main worker that together run for `share` of the time."""
    chance, at, found = random.Random(seed), 60.0, list[Body]()
    while True:
        seconds = chance.uniform(shortest, longest)
        at += seconds * (1 - share) / share * chance.uniform(0.5, 1.5)
        if at + seconds >= hours * 3600:
            return found
        found.append(Body(round(at, 2), round(seconds, 2), chance.uniform(0.6, 1.0)))
        at += seconds


def test_long_jobs_and_idle_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With jobs of 2 to 20 min, receipts plus idle are within 3 % of the shunt, and each is near its true value."""
    day = PlayedDay(tmp_path, one_after_another(1, shortest=120, longest=1200, share=0.4), monkeypatch, seed=1)
    total = day.play().total
    assert total.board_wh is not None
    assert total.idle_wh is not None
    assert total.left_percent is not None
    assert abs(total.left_percent) < 3
    assert total.board_wh * 3600 == pytest.approx(day.true_j, rel=0.03)
    assert total.idle_wh * 3600 == pytest.approx(day.true_idle_j, rel=0.05)
    assert total.measured_wh == pytest.approx(total.jobs_wh, rel=0.01)
    assert total.mains_wh == pytest.approx(total.jobs_wh, rel=0.01)


def test_short_jobs_add_up_once_the_board_is_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most jobs of 2 to 8 s end between two readings. They are estimated, and still add up within 3 %."""
    jobs = one_after_another(2, shortest=2, longest=8, share=0.3, hours=8)
    day = PlayedDay(tmp_path, jobs, monkeypatch, seed=2)
    calibration.write(day.layout.calibration, calibration.Calibration(IDLE_W, CORE_W))
    total = day.play(hours=8).total
    assert total.left_percent is not None
    assert abs(total.left_percent) < 3
    assert total.measured_wh < total.jobs_wh / 2


def test_jobs_of_some_seconds_add_up_without_a_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a reading of its own, and the time of the board at rest has its true draw. Before, 29 % were missing."""
    jobs = one_after_another(5, shortest=6, longest=10, share=0.4, hours=1.2)
    day = PlayedDay(tmp_path, jobs, monkeypatch, seed=5)
    total = day.play(hours=1.2, notices=True).total
    assert len(jobs) > 100
    assert total.left_percent is not None
    assert total.board_wh is not None
    assert total.idle_wh is not None
    assert abs(total.left_percent) < 3
    assert total.measured_wh == pytest.approx(total.jobs_wh, rel=0.01)
    assert total.board_wh * 3600 == pytest.approx(day.true_j, rel=0.03)
    assert total.idle_wh * 3600 == pytest.approx(day.true_idle_j, rel=0.03)
    assert total.jobs_wh * 3600 == pytest.approx(day.true_j - day.true_idle_j, rel=0.03)


def test_bodies_in_threads_are_taken_off_the_idle_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The energy of bodies in threads is estimated. The rest of the board's draw still counts as idle."""
    jobs = one_after_another(3, shortest=120, longest=600, share=0.3, hours=12)
    chance = random.Random(3)
    jobs += [
        Body(chance.uniform(60, 42_000), chance.uniform(60, 900), 0.1, thread=True, kind="fetch") for _ in range(60)
    ]
    day = PlayedDay(tmp_path, jobs, monkeypatch, seed=3)
    calibration.write(day.layout.calibration, calibration.Calibration(IDLE_W, CORE_W))
    made = day.play(hours=12)
    assert made.total.left_percent is not None
    assert abs(made.total.left_percent) < 3
    fetch = next(line for line in made.kinds if line.name == "fetch")
    true_j = sum(job.seconds * job.cores * CORE_W for job in jobs if job.thread)
    assert fetch.jobs_wh * 3600 == pytest.approx(true_j, rel=0.1)


def test_two_workers_share_the_measured_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two bodies that run at the same time gets its part of the board's draw; none is counted twice."""
    jobs = [Body(600.0 + shift, 3000.0, 1.0, kind=f"k{shift:g}") for shift in (0.0, 1.5)]
    day = PlayedDay(tmp_path, jobs, monkeypatch, seed=4)
    total = day.play(hours=2).total
    assert total.left_percent is not None
    assert abs(total.left_percent) < 3
    assert total.jobs_wh * 3600 == pytest.approx(3000 * (IDLE_W + 2 * CORE_W), rel=0.05)
