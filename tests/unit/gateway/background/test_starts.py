"""Start times of new jobs: one after the other in a batch, by what is open before them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from edge.core.errors import NotInTime
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.background import starts
from edge.gateway.background.starts import StartTimes
from edge.ledger.rows import JobRow, NewJob
from edge.model import Action, JobState, OpenJobs, Plan, Power, PowerState, PowerStatus, Reading, Verdict
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner import outlook_file
from edge.power.planner.records import BoardModel
from edge.power.planner.starts import StartMemory
from edge.schedule.later import Later

HOUR = time.time() // 3600 * 3600
ROWS = (
    OpenJobs("old", Power.NORMAL, 2, seconds=1800.0),
    OpenJobs("new", Power.NORMAL, 3, seconds=600.0),
    OpenJobs("spare", Power.SURPLUS, 4, seconds=600.0),
    OpenJobs("first", Power.ALWAYS, 3, seconds=900.0),
)
LEARNED = {"new": 600.0, "long": 7200.0}


def board(folder: Path, *, state: PowerState, percent: float, sun: Step, rows: tuple[OpenJobs, ...]) -> StartTimes:
    """Return the start times of a board under an even sun."""
    layout = Layout(folder / "state", folder / "run")
    layout.outlook.parent.mkdir(parents=True)
    layout.start_times.parent.mkdir(parents=True, exist_ok=True)
    view = Outlook(HOUR, 3600.0, (sun,) * 72, days_learned=20)
    scores = outlook_file.ForecastScores(20)
    outlook_file.write(
        layout.outlook, outlook_file.OutlookReport(boot_id(), view, BoardModel(), 37.0, scores, sleeps=True)
    )
    status = PowerStatus(
        state,
        "charge",
        f"charge {percent} %",
        pid=os.getpid(),
        readings=(Reading("monitor", "charge", percent, "%", verdict=Verdict.OK),),
        plan=Plan(Action.WORK, "as planned", time.time() + 900, 14.0),
    )
    return StartTimes(layout, verdict=lambda: status, rows=lambda: rows, seconds=LEARNED.get, bodies=lambda: 1)


@pytest.fixture
def times(tmp_path: Path) -> StartTimes:
    """Return the start times of a board that is at work under an even sun, with a battery at 60 %."""
    return board(tmp_path, state=PowerState.NORMAL, percent=60.0, sun=Step(2, 3, 4), rows=ROWS)


@pytest.fixture
def night(tmp_path: Path) -> StartTimes:
    """Return the start times of a board whose battery is low, in a polar night."""
    open_jobs = (OpenJobs("first", Power.ALWAYS, 1, seconds=500.0),)
    return board(tmp_path, state=PowerState.LOW, percent=13.0, sun=Step(0, 0, 0), rows=open_jobs)


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


def test_an_error_of_a_prediction_is_logged_once_and_is_no_answer(
    times: StartTimes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The job is committed already: an answer 500 would make its submitter send it again."""

    def fails(*_: object, **__: object) -> None:
        raise OverflowError("math range error")

    monkeypatch.setattr(starts, "expected_starts", fails)
    (job,) = rows(1, Power.NORMAL)
    assert times.note(job) is None
    assert times.note_batch([job]) == {}
    assert times.of(Power.NORMAL, ahead=3) is None
    assert [record.message for record in caplog.records] == ["start times cannot be predicted"]


def test_damaged_start_times_do_not_fail_a_submit(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "run")
    layout.start_times.parent.mkdir(parents=True)
    layout.start_times.write_bytes(msgspec.json.encode({"misses": [[800, 800]] * 18}))
    report = PowerStatus(PowerState.LOW, "x", "x")
    times = StartTimes(layout, verdict=lambda: report, rows=tuple, seconds=LEARNED.get, bodies=lambda: 1)
    assert times.memory == StartMemory()


def new_job(task: str = "unknown", *, power: Power = Power.NORMAL, deadline_s: float | None, **later: Any) -> NewJob:
    """Return a job that is checked before it is accepted."""
    waits = Later(**later) if later else None
    return cast("NewJob", SimpleNamespace(task=task, power=power, deadline_s=deadline_s, later=waits))


@pytest.mark.parametrize(
    ("job", "why"),
    [
        pytest.param(new_job(deadline_s=None), "", id="no deadline"),
        pytest.param(new_job(deadline_s=7200.0), "most likely", id="after the jobs before it"),
        pytest.param(new_job(deadline_s=9000.0), "", id="after the jobs before it, in time"),
        pytest.param(new_job(power=Power.ALWAYS, deadline_s=3000.0), "", id="always"),
        pytest.param(new_job("long", power=Power.ALWAYS, deadline_s=7000.0), "kind take 2.0 h", id="a long kind"),
        pytest.param(new_job("long", power=Power.SURPLUS, deadline_s=60.0), "", id="surplus has no end"),
        pytest.param(new_job(power=Power.ALWAYS, deadline_s=0.001), "in 0.001 s", id="no time at all"),
        pytest.param(new_job("new", deadline_s=9000.0, delay_s=9000.0), "may not begin before", id="delay"),
        pytest.param(new_job("new", deadline_s=9000.0, delay_s=8600.0), "kind take 10 min", id="delay and run time"),
        pytest.param(
            new_job("new", deadline_s=9000.0, not_before=time.time() + 20_000), "may not begin before", id="time"
        ),
        pytest.param(new_job("new", deadline_s=11_000.0, delay_s=9000.0), "", id="delay, in time"),
        pytest.param(new_job("long", deadline_s=9000.0, after=("a",)), "most likely", id="after another job"),
    ],
)
def test_what_cannot_be_in_time_is_refused(times: StartTimes, job: NewJob, why: str) -> None:
    """It starts too late, may not begin earlier, or takes longer than there is time."""
    if not why:
        times.check(job)
        return
    with pytest.raises(NotInTime, match=f"^will not fit before its deadline.*{why}"):
        times.check(job)


def test_a_start_within_ten_minutes_is_compared_with_the_deadline(night: StartTimes) -> None:
    """At once there is power for class `always`. The job before it takes 500 s, and the job itself 600 s."""
    with pytest.raises(NotInTime, match="most likely"):
        night.check(new_job("new", power=Power.ALWAYS, deadline_s=1000.0))


def test_without_a_start_in_the_forecast_a_job_is_late(night: StartTimes) -> None:
    """There is no sun in the next three days. Nobody knows what comes after them."""
    with pytest.raises(NotInTime, match="does not start before"):
        night.check(new_job(deadline_s=3600.0))
    night.check(new_job(deadline_s=4 * 86_400.0))


def test_without_a_forecast_only_what_needs_none_is_refused(times: StartTimes) -> None:
    times._layout.outlook.unlink()
    times.check(new_job("new", deadline_s=700.0))
    with pytest.raises(NotInTime, match="kind take 10 min"):
        times.check(new_job("new", deadline_s=500.0))
    with pytest.raises(NotInTime, match="may not begin before"):
        times.check(new_job("new", deadline_s=500.0, delay_s=600.0))
