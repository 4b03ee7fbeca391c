"""The sentence that says why a job waits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.gateway.waiting import held, resumes_at, sentence
from edge.ledger.rows import JobRow
from edge.model import JobState, Power, PowerState, PowerStatus, RunningJob, WaitReason, WorkerState, WorkerStatus
from edge.wire import BrokerState, BrokerView

NOW = 1_000.0
JOB = JobRow(
    seq=7,
    id="j",
    task="solve",
    arguments=b"[[],{}]",
    power=Power.NORMAL,
    retries=3,
    time_limit_s=None,
    submitter="anna",
    fingerprint=b"",
    state=JobState.QUEUED,
    accepted_at=NOW - 60,
    finished_at=None,
    due_at=None,
    failures=0,
    attempts=0,
    cancel=False,
    remove=False,
    size_bytes=0,
    message="",
)
IDLE = WorkerStatus("main", 1, "boot", WorkerState.IDLE)
GOOD = PowerStatus(PowerState.NORMAL, "ok", "battery 70 %")
UP = BrokerView(BrokerState.CONNECTED)


def told(changes: dict[str, Any] | None = None, **board: Any) -> str:
    """Return the sentence for `JOB` with `changes`, on a board without any fault except for `board`."""
    settings: dict[str, Any] = {"power": GOOD, "workers": [IDLE], "broker": UP, "ahead": 0, "now": NOW} | board
    return sentence(msgspec.structs.replace(JOB, **(changes or {})), **settings)


def test_low_power_is_reported_with_its_numbers_the_rule_that_ends_it_and_the_jobs_ahead() -> None:
    """The sentence is the same as in the example of the design page."""
    low = PowerStatus(PowerState.LOW, "battery", "battery 38 % < 45 %", until="resumes at 55 % held for 5 min")
    expected = "power is low (battery 38 % < 45 %); resumes at 55 % held for 5 min; 3 jobs ahead"
    assert told(power=low, ahead=3) == expected


@pytest.mark.parametrize(
    ("changes", "board", "expected"),
    [
        pytest.param({}, {}, "about to start", id="nothing holds it"),
        pytest.param({}, {"ahead": 1}, "1 job ahead", id="one ahead"),
        pytest.param({}, {"ahead": 5000}, "at least 5000 jobs ahead", id="the count stops at a limit"),
        pytest.param({}, {"workers": []}, "no worker is running", id="no worker"),
        pytest.param(
            {},
            {"workers": [], "nobody": "worker io, which takes fetch, is not running"},
            "worker io, which takes fetch, is not running",
            id="no worker of its pool",
        ),
        pytest.param(
            {},
            {
                "power": PowerStatus(
                    PowerState.UNKNOWN, "x", "the governor has not written a report yet", until="it speaks"
                )
            },
            "power is unknown (the governor has not written a report yet); resumes when it speaks",
            id="unknown power is not good",
        ),
        pytest.param(
            {"power": Power.SURPLUS},
            {},
            "waits for surplus power; power is normal (battery 70 %)",
            id="a surplus job at normal power",
        ),
        pytest.param(
            {"state": JobState.ACCEPTED},
            {"broker": BrokerView(BrokerState.DOWN, "for 20 s: nothing listens there")},
            "broker is not reachable (for 20 s: nothing listens there); the job is safe in the ledger",
            id="broker down",
        ),
        pytest.param(
            {"state": JobState.ACCEPTED},
            {"broker": BrokerView(BrokerState.BLOCKED, "low on disk")},
            "broker takes no more jobs for now (low on disk); the job is safe in the ledger",
            id="broker blocked",
        ),
        pytest.param(
            {},
            {"broker": BrokerView(BrokerState.BLOCKED, "low on disk")},
            "about to start",
            id="a blocked broker still hands out what it has",
        ),
        pytest.param({}, {"ahead": None}, "waits for its turn", id="in a list of jobs, which counts none ahead"),
        pytest.param(
            {"state": JobState.ACCEPTED, "accepted_at": NOW - 1},
            {},
            "on its way to the broker",
            id="accepted a moment ago",
        ),
        pytest.param(
            {"state": JobState.ACCEPTED},
            {},
            "the broker has not taken it for 60 s; the job is safe in the ledger",
            id="a broker that hangs",
        ),
        pytest.param(
            {"power": Power.SURPLUS},
            {"power": PowerStatus(PowerState.LOW, "x", "charge 20 %", until="it reaches 45 %")},
            "waits for surplus power; power is low (charge 20 %)",
            id="a surplus job does not start when low ends",
        ),
        pytest.param(
            {"state": JobState.RETRYING, "failures": 1, "due_at": NOW - 5},
            {"workers": []},
            "retry 1 of 3 due now; no worker is running",
            id="a retry that is due, and what holds it",
        ),
        pytest.param(
            {"state": JobState.RETRYING, "failures": 2, "due_at": NOW + 20, "message": "it rained"},
            {"ahead": 5},
            "retry 2 of 3 due in 20 s after: it rained",
            id="retry",
        ),
        pytest.param(
            {"state": JobState.RETRYING, "failures": 1, "due_at": NOW - 5},
            {},
            "retry 1 of 3 due now",
            id="retry overdue",
        ),
        pytest.param({"cancel": True}, {}, "asked to stop; a worker ends it", id="cancelled"),
        pytest.param({"cancel": True}, {"workers": []}, "asked to stop; it ends when a worker runs", id="alone"),
        pytest.param({"state": JobState.SUCCEEDED}, {}, "", id="over"),
        pytest.param({"state": JobState.RUNNING}, {}, "", id="running"),
    ],
)
def test_sentence(changes: dict[str, Any], board: dict[str, Any], expected: str) -> None:
    """Each cause has its own sentence."""
    assert told(changes, **board) == expected


def test_a_worker_that_holds_says_why() -> None:
    """A full card is reported even when power is good."""
    held = msgspec.structs.replace(IDLE, reason="the card is full")
    assert told(workers=[held]) == "worker main holds: the card is full"


def test_one_free_worker_is_enough() -> None:
    """If one worker is free, other workers that hold or are disconnected are not the reason."""
    held = msgspec.structs.replace(IDLE, reason="the card is full")
    cut_off = msgspec.structs.replace(IDLE, state=WorkerState.DISCONNECTED)
    assert told(workers=[held, cut_off, IDLE]) == "about to start"


def test_a_busy_worker_is_named_with_what_it_runs() -> None:
    """The sentence names the job that the worker runs, and since when."""
    busy = msgspec.structs.replace(IDLE, state=WorkerState.RUNNING, job=RunningJob("k", "factorial", NOW - 300))
    assert told(workers=[busy], ahead=1) == "worker main runs factorial for 5 min; 1 job ahead"


def test_a_worker_without_its_broker_is_named() -> None:
    """The gateway may be connected to the broker while the worker is not."""
    cut_off = msgspec.structs.replace(IDLE, state=WorkerState.DISCONNECTED)
    assert told(workers=[cut_off]) == "worker main is not connected to the broker"


def test_a_held_job_says_since_when_why_and_what_ends_it() -> None:
    """The sentence also says that nothing is lost, because a reader would ask that next."""
    reason = WaitReason(NOW - 1200, "power is low (charge 29 %)", until="it reaches 45 % and holds for 5 min")
    assert held(reason, NOW) == (
        "held for 20 min: power is low (charge 29 %); it stopped in place, and loses nothing; "
        "goes on when it reaches 45 % and holds for 5 min"
    )
    frozen = msgspec.structs.replace(reason, frozen=True, until="")
    assert held(frozen, NOW).endswith("its process is stopped, and loses nothing")


def test_a_job_behind_a_held_one_names_the_held_job() -> None:
    """An `always` job may run at low power, but its only worker holds another job."""
    job = RunningJob("k", "factorial", NOW - 300, held=WaitReason(NOW - 60, "power is low (charge 29 %)"))
    busy = msgspec.structs.replace(IDLE, state=WorkerState.HELD, job=job)
    low = PowerStatus(PowerState.LOW, "charge-low", "charge 29 %")
    waiting = told({"power": Power.ALWAYS}, power=low, workers=[busy], ahead=1)
    assert waiting == "worker main holds factorial until it can go on: power is low (charge 29 %); 1 job ahead"


@pytest.mark.parametrize(
    ("state", "changes", "known"),
    [
        pytest.param(PowerState.LOW, {}, True, id="waits for power"),
        pytest.param(PowerState.NORMAL, {}, False, id="waits for something else"),
        pytest.param(PowerState.LOW, {"power": Power.ALWAYS}, False, id="may run on low power"),
        pytest.param(PowerState.LOW, {"power": Power.SURPLUS}, False, id="the time of surplus is not known"),
        pytest.param(PowerState.LOW, {"state": JobState.RETRYING}, False, id="has its own time"),
        pytest.param(PowerState.LOW, {"state": JobState.SUCCEEDED}, False, id="over"),
    ],
)
def test_jobs_that_wait_for_power_get_the_expected_time(
    state: PowerState, changes: dict[str, Any], known: bool
) -> None:
    """The time is given only if power, and nothing else, holds the job."""
    power = PowerStatus(state, "c", "r", resumes_at=NOW + 240)
    expected_at = resumes_at(msgspec.structs.replace(JOB, **changes), None, power)
    assert expected_at == (NOW + 240 if known else None)


def test_a_held_job_gets_the_expected_time() -> None:
    """A held job continues when power is good again, so it gets the time too. A running job gets none."""
    power = PowerStatus(PowerState.LOW, "c", "r", resumes_at=NOW + 240)
    body = RunningJob("j", "solve", NOW - 60, 1, held=WaitReason(NOW - 5, "power is low"))
    assert resumes_at(JOB, body, power) == NOW + 240
    assert resumes_at(JOB, msgspec.structs.replace(body, held=None), power) is None


def test_a_worker_of_threads_is_busy_once_all_are_in_use() -> None:
    """While a thread is free, the next job is about to start. After that, the sentence names a running job."""
    body = RunningJob("x", "fetch", NOW - 30)
    io = msgspec.structs.replace(IDLE, name="io", state=WorkerState.RUNNING, slots=2, jobs=(body,))
    assert told(workers=[io]) == "about to start"
    full = msgspec.structs.replace(io, jobs=(body, body))
    assert told(workers=[full]) == "worker io runs fetch and 1 other job for 30 s"
    held_body = msgspec.structs.replace(body, held=WaitReason(NOW, "power is low"))
    full = msgspec.structs.replace(io, jobs=(held_body, held_body))
    assert told(workers=[full]) == "worker io holds fetch and 1 other job until they can go on: power is low"
