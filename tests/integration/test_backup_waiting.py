"""A backup carries all that waits for time, for others or for its turn, and the restored board continues with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.backup.pack import backup
from edge.backup.restore import restore
from edge.broker import topology as wire
from edge.config import BrokerConfig, Config, load
from edge.core.layout import Layout
from edge.model import Failure, FailureCode, JobState, Power, Result
from edge.results.store import Results
from tests.conftest import MakeConfig, delete_queues
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import until

pytestmark = pytest.mark.broker

HOURLY = {"task": "echo", "args": ["hi"], "cron": "@hourly", "timezone": "Europe/Berlin", "jitter_s": 600}
TICK = {"task": "echo", "args": ["hi"], "every_s": 1, "overlap": "allow", "missed": "all", "priority": 7}
LIMITS = {"total": {"at_once": 1, "per_minute": 30}}


class Boards:
    """The board that is backed up, and the blank one with a new broker that gets the backup."""

    def __init__(self, broker: BrokerConfig, make_config: MakeConfig, start: StartGateway, folder: Path) -> None:
        self._broker, self._make_config, self._start, self._folder = broker, make_config, start, folder

    def old(self) -> RunningGateway:
        """Start the gateway of the old board."""
        self._old = self._start(self._config("old"))
        return self._old

    def _config(self, root: str) -> Config:
        return self._make_config(self._broker, root=root, run=f"{root}-run", limits=LIMITS)

    def move(self, meanwhile: Callable[[], None] = lambda: None, *, off_s: float = 0.0) -> RunningGateway:
        """Back up the old board, stop it, and return the gateway of the new one after `off_s` seconds.

        `meanwhile` is called once during the backup, when the ledger is packed.
        """
        calls: list[None] = []

        def advance(_files: int, _size: int) -> None:
            calls.append(None)
            if len(calls) == 1:
                meanwhile()

        archive = self._folder / "board.tar"
        backup(load(self._folder / "edge.yaml", env={}), archive, advance=advance)
        self._old.stop()
        delete_queues(self._broker)
        time.sleep(off_s)
        new = self._config("new")
        restore(archive, Layout(new.root, new.run), new.root / "edge.yaml", advance=lambda _files, _size: None)
        return self._start(new)

    def queued(self, count: int) -> list[str]:
        """Return the ids of the first jobs in the broker's queue."""
        with wire.connection(self._broker, timeout_s=10.0) as link:
            found = [link.default_channel.basic_get(wire.QUEUES[Power.NORMAL].name) for _ in range(count)]
        return [message.properties["correlation_id"] for message in found]


@pytest.fixture
def boards(broker: BrokerConfig, make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path) -> Boards:
    return Boards(broker, make_config, start_gateway, tmp_path)


def submit(board: RunningGateway, task: str = "echo", args: list[Any] | None = None, **fields: object) -> str:
    answer = board.ask("POST", "/jobs", {"task": task, "args": ["hello"] if args is None else args, **fields})
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def view(board: RunningGateway, job_id: str) -> Any:
    return board.ask("GET", f"/jobs/{job_id}").json


def slots(board: RunningGateway, name: str) -> list[dict[str, Any]]:
    return list(board.ask("GET", f"/schedules/{name}").json.get("slots", []))


def test_the_next_slot_is_due_as_before(boards: Boards) -> None:
    """A schedule keeps its rule, zone, delay by jitter and next time; a paused one stays paused."""
    old = boards.old()
    old.ask("PUT", "/schedules/hourly", HOURLY)
    old.ask("PUT", "/schedules/paused", HOURLY | {"paused": True})
    before, due = old.ask("GET", "/schedules").json["schedules"], _due(old)
    assert len(due) == 1
    new = boards.move()
    assert new.ask("GET", "/schedules").json["schedules"] == before
    assert _due(new) == due


def _due(board: RunningGateway) -> list[float | None]:
    return [row.due_at for row in board.gateway.appliance.outbox.reader.schedules.waiting()]


def test_a_slot_that_ran_is_not_run_again(boards: Boards) -> None:
    """A slot makes one job before, during and after the backup; a job whose result was packed does not run again."""
    old = boards.old()
    old.ask("PUT", "/schedules/tick", TICK)
    until(lambda: len(slots(old, "tick")) >= 2, "two slots")
    before = slots(old, "tick")

    def meanwhile() -> None:
        """Let slots run that the packed ledger does not know, and end their jobs before the results are packed."""
        known = len(slots(old, "tick"))
        until(lambda: len(slots(old, "tick")) >= known + 2, "slots during the backup")
        for slot in slots(old, "tick"):
            old.finish(slot["job"], "ran on the old board")

    new = boards.move(meanwhile, off_s=1.5)
    ended = {path.stem for path in new.layout.results.glob("*/*.json")}
    assert len(ended - {slot["job"] for slot in before}) >= 2
    until(lambda: ended <= {slot.get("job") for slot in slots(new, "tick")}, "the slots of the old board")
    new.ask("POST", "/schedules/tick/pause")
    after = slots(new, "tick")
    jobs = [slot["job"] for slot in after if slot["fate"] == "ran"]
    assert len(set(jobs)) == len(jobs)
    assert all(slot in after for slot in before)
    for job_id in ended:
        new.becomes(job_id, "succeeded")
        assert new.ask("GET", f"/jobs/{job_id}/result").json["value"] == "ran on the old board"
    assert {job["id"] for job in new.ask("GET", "/jobs?limit=500").json["jobs"]} == set(jobs)


def test_slots_missed_before_the_restore_follow_the_rule(boards: Boards) -> None:
    """The time without a board counts as a time without power: of the missed slots the last one runs for all."""
    old = boards.old()
    old.ask("PUT", "/schedules/tick", TICK | {"missed": "last"})
    until(lambda: bool(slots(old, "tick")), "a slot")
    new = boards.move(off_s=3.0)
    until(lambda: any(slot["fate"] == "coalesced" for slot in slots(new, "tick")), "a decision about missed slots")


def test_a_delayed_job_fires(boards: Boards) -> None:
    """Jobs for later keep their times: one that became due meanwhile starts at once, the others when they are due."""
    old = boards.old()
    soon, later = submit(old, delay_s=1.0), submit(old, delay_s=6.0)
    dated = submit(old, not_before=datetime.fromtimestamp(time.time() + 7.0, UTC).isoformat())
    far = submit(old, delay_s=3600.0)
    due = {job_id: view(old, job_id)["due_at"] for job_id in (later, dated, far)}
    new = boards.move(off_s=1.0)
    assert {job_id: view(new, job_id)["due_at"] for job_id in due} == due
    new.becomes(soon, "queued")
    for job_id in (later, dated):
        new.becomes(job_id, "queued", within_s=20)
        assert time.time() >= due[job_id]
    assert view(new, far)["waiting"].startswith("submitted for later; starts in")


def test_priorities_order_what_the_new_broker_gets(boards: Boards) -> None:
    """The jobs that the old broker had are in the order of priority, too; a changed priority is kept."""
    old = boards.old()
    low, usual, high, changed = (submit(old, priority=number) for number in (0, 5, 9, 1))
    for job_id in (low, usual, high, changed):
        old.becomes(job_id, "queued")
    assert old.ask("PATCH", f"/jobs/{changed}", {"priority": 8}).status == 200
    new = boards.move()
    for job_id in (high, changed, usual, low):
        new.becomes(job_id, "queued")
    assert boards.queued(4) == [high, changed, usual, low]


def test_a_limit_holds_on_the_new_board(boards: Boards) -> None:
    """Of a kind that runs one at a time the broker gets one job, and the next when that has ended."""
    old = boards.old()
    one, two = (submit(old, "total", [[number]]) for number in (1, 2))
    old.becomes(one, "queued")
    new = boards.move()
    new.becomes(one, "queued")
    outbox = new.gateway.appliance.outbox
    assert outbox.release.why(outbox.reader.get(two)).startswith("waits for the limit of total, 1 at once")
    new.finish(one)
    new.becomes(two, "queued")


def test_a_unique_key_still_leads_to_its_open_job(boards: Boards) -> None:
    """A submit with the unique key of an open job gets that job, and makes a new one after its end."""
    old = boards.old()
    first = submit(old, unique_key="refresh", delay_s=3600.0)
    new = boards.move()
    again = new.ask("POST", "/jobs", {"task": "echo", "args": ["other"], "unique_key": "refresh"})
    assert (again.status, again.json["id"]) == (200, first)
    new.finish(first)
    new.becomes(first, "succeeded")
    assert submit(new, unique_key="refresh") != first


def test_a_graph_goes_on(boards: Boards) -> None:
    """Edges and arguments that stand for results are kept, also of a job that ended while the backup was made."""
    old = boards.old()
    before, during, after = submit(old), submit(old), submit(old)
    last = submit(old, "total", [[{"$result": before}, {"$result": during}, {"$result": after}]])
    failing = submit(old)
    lost, anyway = submit(old, after=[failing]), submit(old, after=[failing, last], after_failure="run")
    old.finish(before, 1)
    old.becomes(before, "succeeded")
    new = boards.move(lambda: old.finish(during, 2))
    new.becomes(during, "succeeded")
    assert view(new, last)["waiting"] == f"runs after job {after}, which has not ended"
    new.finish(after, 3)
    new.becomes(last, "queued")
    assert new.gateway.appliance.outbox.reader.get(last).call() == ([[1, 2, 3]], {})
    new.finish(last)
    now = time.time()
    failure = Failure(FailureCode.EXCEPTION, "no such luck")
    Results(new.layout).publish(
        Result(failing, "echo", JobState.FAILED, failure=failure, started_at=now, finished_at=now)
    )
    new.becomes(anyway, "queued")
    until((new.layout.orders / f"{lost}.fail").exists, "the end of a job that can never run")
    assert f"job {failing} failed" in (new.layout.orders / f"{lost}.fail").read_text()
