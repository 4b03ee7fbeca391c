"""Start times of new jobs: one after the other in a batch, by what is open before them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.background.starts import StartTimes
from edge.ledger.rows import JobRow
from edge.model import Action, JobState, OpenJobs, Plan, Power, PowerState, PowerStatus, Reading, Verdict
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner import outlook_file
from edge.power.planner.records import BoardModel

HOUR = time.time() // 3600 * 3600
ROWS = (
    OpenJobs("old", Power.NORMAL, 2, seconds=1800.0),
    OpenJobs("new", Power.NORMAL, 3, seconds=600.0),
    OpenJobs("spare", Power.SURPLUS, 4, seconds=600.0),
    OpenJobs("first", Power.ALWAYS, 3, seconds=900.0),
)


@pytest.fixture
def times(tmp_path: Path) -> StartTimes:
    """Return the start times of a board that is at work under an even sun, with a battery at 60 %."""
    layout = Layout(tmp_path / "state", tmp_path / "run")
    layout.outlook.parent.mkdir(parents=True)
    layout.start_times.parent.mkdir(parents=True, exist_ok=True)
    view = Outlook(HOUR, 3600.0, (Step(2, 3, 4),) * 60, days_learned=20)
    report = outlook_file.OutlookReport(
        boot_id(), view, BoardModel(), 37.0, outlook_file.ForecastScores(20), sleeps=True
    )
    outlook_file.write(layout.outlook, report)
    status = PowerStatus(
        PowerState.NORMAL,
        "ok",
        "charge 60 %",
        pid=os.getpid(),
        readings=(Reading("monitor", "charge", 60.0, "%", verdict=Verdict.OK),),
        plan=Plan(Action.WORK, "above the floor", time.time() + 900, 14.0),
    )
    return StartTimes(layout, verdict=lambda: status, rows=lambda: ROWS, bodies=lambda: 1)


def rows(count: int, power: Power, deadline_s: float | None = None) -> list[JobRow]:
    """Return newly accepted jobs."""
    return [
        JobRow(
            id=f"{power}-{number}",
            seq=number,
            task="new",
            state=JobState.QUEUED,
            power=power,
            submitter="",
            accepted_at=time.time(),
            retries=0,
            time_limit_s=None,
            deadline_s=deadline_s,
            arguments=b"",
            fingerprint=b"",
        )
        for number in range(count)
    ]


def test_the_jobs_of_a_batch_start_one_after_the_other(times: StartTimes) -> None:
    """Eight jobs of class `always` and `normal` are open: 8,100 s of work, the last three of which are the batch."""
    noted = times.note_batch(rows(3, Power.NORMAL))
    likely = [noted[f"normal-{number}"].likely - time.time() for number in range(3)]
    assert likely == [pytest.approx(8100 / 8 * before, abs=70) for before in (5, 6, 7)]


def test_each_class_of_a_batch_waits_for_its_own_work(times: StartTimes) -> None:
    """Jobs of class `always` wait for their like only; those for surplus also need a battery of 90 %."""
    noted = times.note_batch(rows(1, Power.ALWAYS) + rows(1, Power.SURPLUS))
    assert noted["always-0"].likely - time.time() == pytest.approx(1800, abs=70)
    assert noted["surplus-0"].likely - time.time() > 8100


def test_from_its_deadline_on_a_surplus_job_starts_with_normal_power(times: StartTimes) -> None:
    noted = times.note_batch(rows(1, Power.SURPLUS, deadline_s=9000.0))
    (job,) = rows(1, Power.SURPLUS)
    alone = times.note(msgspec.structs.replace(job, id="other"))
    assert alone is not None
    assert noted["surplus-0"].likely < alone.likely


def test_many_deadlines_do_not_hold_the_gateway(times: StartTimes) -> None:
    """Only the first twenty are evaluated."""
    jobs = [
        msgspec.structs.replace(job, id=str(number), deadline_s=9000.0 + number)
        for number in range(500)
        for job in rows(1, Power.SURPLUS)
    ]
    assert len(times.note_batch(jobs)) == 20
