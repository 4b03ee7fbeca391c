"""If a board boots in 1970 and its clock then jumps by decades, no job is lost, late or stuck."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from edge.access.tokens import Scope, Tokens
from edge.config import BrokerConfig
from edge.core import clock as core_clock
from edge.core.backoff import Backoff
from edge.gateway.background import outbox
from edge.ledger.reader import LedgerReader
from edge.model import Attempts, JobState, Power, PowerState
from edge.results.attempts import AttemptsStore
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import RunningWorker, StartWorker, publish, report_power, until

YEAR_S = 365.25 * 86_400
#: Jumps from today: ten years back and ahead, and to 1970, the time of a board without a clock.
JUMPS = [pytest.param(-10 * YEAR_S, id="back"), pytest.param(10 * YEAR_S, id="ahead"), pytest.param(None, id="1970")]


class Clock:
    """The wall clock of this process, which a test can set; the monotonic clock is not changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, self._offset_s = time.time, 0.0
        monkeypatch.setattr(time, "time", lambda: self._real() + self._offset_s)

    def jump(self, by_s: float | None) -> None:
        """Set the clock `by_s` from the true time, or to the first day of 1970 if `by_s` is None."""
        self._offset_s = 3600.0 - self._real() if by_s is None else by_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the back-off short."""
    monkeypatch.setattr(outbox, "RETRY", Backoff(first_s=1.0, most_s=3600.0))


def _again(gateway: RunningGateway, start_gateway: StartGateway) -> RunningGateway:
    gateway.stop()
    return start_gateway(gateway.config)


def test_order_is_that_of_acceptance_at_any_time(clock: Clock, gateway: RunningGateway) -> None:
    """Jobs are listed in the order of acceptance, also by pages and newest first, at any time of the clock."""
    ids = []
    for by_s in (0.0, None, 10 * YEAR_S, -10 * YEAR_S, None, 0.0):
        clock.jump(by_s)
        ids.append(gateway.submit("echo", "x"))
    listed: list[str] = []
    cursor = ""
    while True:
        page = gateway.ask("GET", f"/jobs?limit=2{cursor}").json
        listed += [job["id"] for job in page["jobs"]]
        if not page.get("next"):
            break
        cursor = f"&cursor={page['next']}"
    assert listed == ids[::-1]


@pytest.mark.parametrize("by_s", JUMPS)
@pytest.mark.parametrize("restart", [False, True])
def test_a_retry_comes_due(
    clock: Clock,
    quick: None,
    gateway: RunningGateway,
    start_gateway: StartGateway,
    by_s: float | None,
    *,
    restart: bool,
) -> None:
    """A retry is due at most after its back-off, whatever the clock shows then."""
    job_id = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"], "retries": 3}).json["id"]
    AttemptsStore(gateway.layout).write(Attempts(job_id, deliveries=1, failures=1, last_error="E: x"))
    gateway.becomes(job_id, "retrying")
    clock.jump(by_s)
    running = _again(gateway, start_gateway) if restart else gateway
    running.becomes(job_id, "accepted", within_s=15)


@pytest.mark.parametrize("by_s", JUMPS)
@pytest.mark.parametrize("restart", [False, True])
def test_a_deadline_comes_due_and_never_ends_a_job(
    clock: Clock, gateway: RunningGateway, start_gateway: StartGateway, by_s: float | None, *, restart: bool
) -> None:
    """After a jump the job may run at normal power, early at worst, and is never ended."""
    body = {"task": "echo", "args": ["x"], "power": "surplus", "deadline_s": 1.0}
    job_id = gateway.ask("POST", "/jobs", body).json["id"]
    clock.jump(by_s)
    running = _again(gateway, start_gateway) if restart else gateway

    def came() -> bool:
        with LedgerReader.open(running.layout.ledger) as ledger:
            return ledger.get(job_id).power is Power.NORMAL

    until(came, "the deadline", patience_s=15)
    assert running.ask("GET", f"/jobs/{job_id}").json["state"] == "accepted"


@pytest.mark.parametrize("by_s", JUMPS)
def test_keys_and_tokens_know_no_time(
    clock: Clock, gateway: RunningGateway, start_gateway: StartGateway, by_s: float | None
) -> None:
    """The same key gives the same job, and a token made in another decade is valid."""
    job_id = gateway.submit("echo", "x", Idempotency_Key="k")
    secret = Tokens(gateway.layout.tokens).add("sensor", [Scope.READ])
    clock.jump(by_s)
    again = _again(gateway, start_gateway)
    assert again.submit("echo", "x", Idempotency_Key="k") == job_id
    assert again.ask("GET", f"/jobs/{job_id}", Authorization=f"Bearer {secret}").status == 200


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_result_of_a_wrong_time_stays_its_full_time(
    clock: Clock, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, by_s: float | None
) -> None:
    """A result with a time in another decade is kept for its full time, counted from when the time is known."""
    job_id = gateway.submit("echo", "x")
    clock.jump(by_s)
    gateway.finish(job_id, "y")
    gateway.becomes(job_id, "succeeded")
    retention = gateway.gateway.appliance._retention

    def look() -> int:
        return asyncio.run_coroutine_threadsafe(retention._let_go(), gateway.loop).result(20)

    monkeypatch.setattr(core_clock, "synchronised", lambda: False)
    assert look() == 0
    monkeypatch.setattr(core_clock, "synchronised", lambda: True)
    clock.jump(0.0)
    keep_s = gateway.config.retention.keep_days * 86_400
    assert look() == 0
    clock.jump(keep_s - 60)
    assert look() == 0
    clock.jump(keep_s + 60)
    assert look() == 1


_SET_CLOCK = """
import os, time
_real, _file = time.time, os.environ["TEST_CLOCK"]

def _now():
    with open(_file) as file:
        return _real() + float(file.read() or 0)

time.time = _now
"""


@pytest.mark.broker
@pytest.mark.parametrize("by_s", JUMPS)
def test_a_worker_goes_on_over_a_jump(
    make_config: MakeConfig, broker: BrokerConfig, start_worker: StartWorker, tmp_path: Path, by_s: float | None
) -> None:
    """A running job, its time limit, the next job, and one after a restart in another decade are not affected."""
    config = make_config(broker=broker, tasks=["odd"])
    report_power(config, PowerState.NORMAL)
    offset = tmp_path / "offset"
    (tmp_path / "sitecustomize.py").write_text(_SET_CLOCK)
    offset.write_text("0")
    path = f"{tmp_path}:{Path.cwd()}"
    worker: RunningWorker = start_worker(config, TEST_CLOCK=str(offset), PYTHONPATH=path)
    job_id = publish(broker, "nap", 2)
    limited = publish(broker, "nap", 600, edge={"time_limit_s": 1.5})
    started = worker.until_running(job_id).started_at
    offset.write_text(str(3600.0 - time.time() if by_s is None else by_s))
    assert worker.result(job_id).state is JobState.SUCCEEDED
    failure = worker.result(limited).failure
    assert failure is not None
    assert failure.code == "time-limit"
    assert abs(worker.result(limited).seconds - 1.5) < 10
    assert abs(worker.result(limited).finished_at - started) > YEAR_S
    Results(config.layout).remove(job_id)
    assert worker.stop() == 0
    worker.again()
    assert worker.result(publish(broker, "echo", "next")).value == "next"
    assert Results(config.layout).removed(job_id)
    assert msgspec.json.decode(config.layout.worker("main").read_bytes())["state"] != "stopped"
