"""The gateway shows held and frozen jobs, readings with their current age, and receipts with their sums."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import msgspec
import pytest

from edge.core.errors import StorageError
from edge.core.host import boot_id
from edge.model import (
    Energy,
    FrozenJob,
    JobState,
    Metering,
    PowerState,
    Reading,
    Result,
    RunningJob,
    WaitReason,
    WorkerState,
    WorkerStatus,
)
from edge.results.store import Results
from tests.running_gateway import RunningGateway
from tests.running_worker import report_power, until


def runs(gateway: RunningGateway, job_id: str, held: WaitReason | None = None) -> None:
    """Write a status as if a worker in this process ran the job."""
    job = RunningJob(job_id, "echo", time.time() - 60, held=held)
    status = WorkerStatus("main", os.getpid(), boot_id(), WorkerState.HELD if held else WorkerState.RUNNING, job=job)
    gateway.layout.run.mkdir(parents=True, exist_ok=True)
    gateway.layout.worker("main").write_bytes(msgspec.json.encode(status))


def test_a_held_job_runs_and_says_why_it_does_not_go_on(gateway: RunningGateway) -> None:
    """A held job has the state `running`; sentence and record say why it does not continue."""
    job_id = gateway.submit()
    runs(gateway, job_id, WaitReason(time.time() - 300, "power is low (charge 29 %)", until="it reaches 45 %"))
    view = gateway.ask("GET", f"/jobs/{job_id}").json
    assert view["state"] == "running"
    assert view["waiting"].startswith("held for 5 min: power is low (charge 29 %)")
    assert view["waiting"].endswith("goes on when it reaches 45 %")
    assert view["held"]["reason"] == "power is low (charge 29 %)"
    assert "edge_jobs_held 1.0" in gateway.ask("GET", "/metrics").body.decode()


def test_a_worker_that_was_stopped_by_a_signal_is_no_idle_one(gateway: RunningGateway) -> None:
    """A stopped worker is not shown as idle, although it cannot report it; a job that waits for it names it."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        gateway.layout.run.mkdir(parents=True, exist_ok=True)
        status = WorkerStatus("main", process.pid, boot_id(), WorkerState.IDLE)
        gateway.layout.worker("main").write_bytes(msgspec.json.encode(status))
        (worker,) = gateway.ask("GET", "/status").json["workers"]
        assert worker["reason"].startswith(f"its process {process.pid} was stopped by a signal")
    finally:
        process.kill()
        process.wait()


def test_a_job_that_runs_is_counted_as_one(gateway: RunningGateway) -> None:
    """A running job counts as running, not as waiting; a running job of plain Celery has no row and is not counted."""
    job_id, _ = gateway.submit(), gateway.submit()
    runs(gateway, job_id)
    assert gateway.ask("GET", "/status").json["jobs"] == {"accepted": 1, "running": 1}
    runs(gateway, "celery-job")
    assert gateway.ask("GET", "/status").json["jobs"] == {"accepted": 2}


def test_a_ledger_that_cannot_be_read_hides_no_status(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a failing disk makes the ledger unreadable, the status is shown without the number of running jobs."""
    job_id = gateway.submit()
    runs(gateway, job_id)

    def unreadable(_job_id: str) -> None:
        raise StorageError("ledger", OSError(5, "Input/output error"))

    monkeypatch.setattr(gateway.gateway.appliance.outbox.reader, "find", unreadable)
    status = gateway.ask("GET", "/status")
    assert (status.status, status.json["jobs"]) == (200, {"accepted": 1})


def test_a_frozen_process_is_shown_by_the_note_of_its_freezer(gateway: RunningGateway) -> None:
    """A note of the freezer counts only for its job and process; an old note has no effect."""
    job_id = gateway.submit()
    runs(gateway, job_id)
    held = WaitReason(time.time() - 30, "power is low (charge 29 %)", frozen=True)
    for other in ({"id": "other"}, {"pid": 1}, {"boot_id": "other"}, {}):
        note = msgspec.structs.replace(FrozenJob(job_id, os.getpid(), boot_id(), held), **other)
        gateway.layout.frozen("main").write_bytes(msgspec.json.encode(note))
        view = gateway.ask("GET", f"/jobs/{job_id}").json
        assert ("held" in view) is (other == {})
    assert "its process is stopped" in view["waiting"]
    assert gateway.ask("GET", "/status").json["workers"][0]["state"] == "held"


def test_readings_are_as_old_as_they_are_now(gateway: RunningGateway) -> None:
    """A reading is shown with its current age, although the governor writes only every half minute."""
    readings = (
        Reading("ups", "charge", 71.0, "%", age_s=2.0),
        Reading("shunt", "watts", None, "W", reason="no such device"),
    )
    report_power(gateway.config, PowerState.NORMAL, readings=readings, monotonic=time.monotonic() - 20)
    shown = gateway.ask("GET", "/status").json["power"]["readings"]
    assert 22 <= shown[0]["age_s"] < 30
    assert shown[1]["reason"] == "no such device"
    metrics = gateway.ask("GET", "/metrics").body.decode()
    assert 'edge_power_reading{source="ups",unit="%",what="charge"} 71.0' in metrics
    assert 'edge_power_reading_age_seconds{source="shunt"' in metrics
    assert 'edge_power_reading{source="shunt"' not in metrics


def test_receipts_are_shown_and_summed_up(gateway: RunningGateway) -> None:
    """Receipts are summed up, measured and estimated joules separately."""
    receipts = [
        Energy(seconds=2.0, cpu_seconds=1.5, joules=9.0, metering=Metering.MEASURED, held_s=30.0, max_c=61.0),
        Energy(seconds=1.0, cpu_seconds=0.5, joules=0.5),
    ]
    results = Results(gateway.layout)
    for receipt in receipts:
        job_id = gateway.submit()
        results.publish(Result(job_id, "echo", JobState.SUCCEEDED, value="x", energy=receipt))
        view = gateway.becomes(job_id, "succeeded")
        assert view["energy"] == msgspec.to_builtins(receipt)
    metrics = gateway.ask("GET", "/metrics").body.decode()
    assert 'edge_job_joules_total{metering="measured"} 9.0' in metrics
    assert 'edge_job_joules_total{metering="estimated"} 0.5' in metrics
    assert "edge_job_held_seconds_total 30.0" in metrics
    assert float(next(x for x in metrics.splitlines() if x.startswith("edge_job_cpu_s")).split()[1]) == pytest.approx(2)


def test_the_statement_has_the_receipts_of_now(gateway: RunningGateway) -> None:
    """The statement includes receipts that are in no file yet, and an invalid month is refused."""
    job_id = gateway.submit()
    took = Energy(2.0, 1.0, 7200.0, Metering.MEASURED, sun_joules=3600.0, battery_joules=3600.0)
    result = Result(job_id, "echo", JobState.SUCCEEDED, finished_at=time.time(), energy=took)
    Results(gateway.layout).publish(result)
    until(lambda: gateway.ask("GET", f"/jobs/{job_id}").json["state"] == "succeeded", "the end of the job")
    total = gateway.ask("GET", "/statement").json["total"]
    assert (total["jobs"], total["jobs_wh"], total["sun_wh"], total["battery_wh"]) == (1, 2.0, 1.0, 1.0)
    assert gateway.ask("GET", "/statement?month=2026-13").status == 400
