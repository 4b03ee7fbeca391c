"""A gateway with a broken ledger continues by itself, with every job that is known somewhere."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.cli.board.checks import state
from edge.config import BrokerConfig, Config
from edge.ledger.recovery import copies
from edge.model import JobState, PowerState, Result
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import StartWorker, report_power


def _break(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(8192))


def test_a_broken_ledger_is_made_again_from_its_copy(
    gateway: RunningGateway, start_gateway: StartGateway, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """Open jobs, ended jobs and idempotency keys are restored; log, status and doctor report it."""
    first = gateway.submit("echo", "one", Idempotency_Key="k1")
    ended = gateway.submit("echo", "two")
    gateway.finish(ended, "two")
    gateway.becomes(ended, "succeeded")
    gateway.stop()
    _break(config.layout.ledger)

    again = start_gateway(config)
    assert again.ask("GET", f"/jobs/{first}").json["state"] == "accepted"
    assert again.ask("GET", f"/jobs/{ended}/result").json["value"] == "two"
    body = {"task": "echo", "args": ["one"]}
    same = again.ask("POST", "/jobs", body, Idempotency_Key="k1")
    assert (same.status, same.json["id"]) == (200, first)
    assert again.ask("POST", "/jobs", body | {"args": ["x"]}, Idempotency_Key="k1").status == 409
    (warning,) = again.ask("GET", "/status").json["warnings"]
    assert warning.startswith("ledger.set-aside-1: The ledger was set aside at ")
    assert "2 more from the ledger's copy of" in warning
    assert any("was set aside" in record.message for record in caplog.records if record.levelname == "CRITICAL")
    (finding,) = state.set_aside(config.root)
    assert (finding.level, finding.part) == ("warn", "ledger.set-aside-1")


def test_a_lost_ledger_without_a_copy_is_made_again_from_the_results(
    gateway: RunningGateway, start_gateway: StartGateway, config: Config
) -> None:
    """After a rebuild from results a key still finds its job with any first body; then another body is refused."""
    job_id = gateway.submit("echo", "one", Idempotency_Key="k1")
    other = gateway.submit("echo", "two")
    gateway.finish(job_id, "one")
    Results(config.layout).publish(Result(other, "echo", JobState.SUCCEEDED, value="two", submitter="sensor"))
    gateway.stop()
    for path in config.root.glob("ledger.*"):
        path.unlink()

    again = start_gateway(config)
    assert again.becomes(job_id, "succeeded")["submitter"] == "amqp"
    assert again.becomes(other, "succeeded")["submitter"] == "sensor"
    body = {"task": "echo", "args": ["one"]}
    for _ in range(2):
        same = again.ask("POST", "/jobs", body, Idempotency_Key="k1")
        assert (same.status, same.json["id"], same.json["submitter"]) == (200, job_id, "local")
    assert again.ask("POST", "/jobs", body | {"args": ["x"]}, Idempotency_Key="k1").status == 409
    (warning,) = again.ask("GET", "/status").json["warnings"]
    assert "its copy (there was none)" in warning


def test_rows_that_rotted_are_mended_at_the_start(
    gateway: RunningGateway, start_gateway: StartGateway, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged rows are repaired: the ended job from its result, the open one to run; the list shows all."""
    ended, waits, other = (gateway.submit("echo", text) for text in ("one", "two", "three"))
    gateway.finish(ended, "one")
    gateway.becomes(ended, "succeeded")
    gateway.stop()
    with closing(sqlite3.connect(config.layout.ledger)) as db:
        db.execute("UPDATE job SET state = CAST(x'ff00' AS TEXT) WHERE id IN (?, ?)", (ended, waits))
        db.execute("UPDATE job SET power = 'norm' WHERE id = ?", (waits,))
        db.commit()

    again = start_gateway(config)
    again.becomes(ended, "succeeded")
    assert again.becomes(waits, "accepted").get("power", "normal") == "normal"
    assert len(again.ask("GET", "/jobs").json["jobs"]) == 3
    assert again.ask("GET", "/status").json["jobs"] == {"accepted": 2, "succeeded": 1}
    assert any(f"job {waits}: state" in record.message for record in caplog.records if record.levelname == "ERROR")
    assert other in again.ask("GET", "/jobs").body.decode()


@pytest.mark.broker
def test_a_job_that_only_the_broker_knows_runs_and_gets_its_row(
    make_config: MakeConfig, broker: BrokerConfig, start_gateway: StartGateway, start_worker: StartWorker
) -> None:
    """A job that only the broker knows gets a row, with the submitter's name from its message and result."""
    config = make_config(broker=broker, tasks=["odd"])
    board = start_gateway(config)
    job_id = board.submit("echo", "kept", Idempotency_Key="k")
    board.becomes(job_id, "queued")
    board.stop()
    _break(config.layout.ledger)
    config.layout.ledger_copy.unlink()

    again = start_gateway(config)
    assert again.ask("GET", f"/jobs/{job_id}").status == 404
    assert len(again.ask("GET", "/status").json["warnings"]) == 1
    report_power(config, PowerState.NORMAL)
    assert start_worker(config).result(job_id).value == "kept"
    assert again.becomes(job_id, "succeeded")["submitter"] == "local"
    assert again.submit("echo", "kept", Idempotency_Key="k") == job_id


def test_a_copy_is_made_at_a_clean_stop_and_only_of_what_changed(
    gateway: RunningGateway, start_gateway: StartGateway, config: Config
) -> None:
    """The ledger is copied at a clean stop only if a job changed since the last copy."""
    gateway.submit("echo", "one")
    gateway.stop()
    made = config.layout.ledger_copy.stat()
    mark = copies.mark(config.layout.ledger_copy)
    assert mark is not None
    assert mark.jobs == 1
    start_gateway(config).stop()
    assert config.layout.ledger_copy.stat().st_ino == made.st_ino
