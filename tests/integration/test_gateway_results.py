"""Results reach whoever waits for them: long polls, files, removal, and changes made while the gateway was down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from edge.config import Config
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.background.announcements import Announced
from edge.ledger.writer import LedgerWriter
from edge.model import (
    Attempts,
    JobState,
    Progress,
    Result,
    RunningJob,
    SpawnedJob,
    SpawnedJobs,
    WorkerState,
    WorkerStatus,
    new_job_id,
)
from edge.results.attempts import AttemptsStore
from edge.results.orders import Order, Orders
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

_PUBLISH = """
import sys, time
from pathlib import Path
from edge.results.store import Results
from edge.core.layout import Layout
from edge.model import JobState, Result
results = Results(Layout(Path(sys.argv[1]), Path(sys.argv[2])))
results.publish(Result(sys.argv[3], "echo", JobState.SUCCEEDED, value="done"))
"""


def until(found_by: Callable[[], Any], within_s: float = 10.0) -> Any:
    """Poll until `found_by()` returns a true value, and return that value."""
    deadline = time.monotonic() + within_s
    while not (found := found_by()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def write_worker_status(gateway: RunningGateway, job: RunningJob | None = None, **changes: Any) -> WorkerStatus:
    """Write the status file of a worker that runs in this process, with `job`, and return the status."""
    status = WorkerStatus(
        "main", os.getpid(), boot_id(), WorkerState.RUNNING if job else WorkerState.IDLE, job=job, **changes
    )
    gateway.layout.run.mkdir(parents=True, exist_ok=True)
    gateway.layout.worker("main").write_bytes(msgspec.json.encode(status))
    return status


def test_a_long_poll_wakes_when_another_process_publishes(gateway: RunningGateway) -> None:
    """A long poll is answered when another process publishes the result, long before the wait is over."""
    job_id = gateway.submit()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.ask, "GET", f"/jobs/{job_id}/result?wait=30", timeout=40)
        until(lambda: len(gateway.gateway.appliance.waiters))
        argv = [sys.executable, "-c", _PUBLISH, str(gateway.layout.root), str(gateway.layout.run), job_id]
        subprocess.run(argv, check=True)
        began = time.monotonic()
        answer = waiting.result(10)
        assert time.monotonic() - began < 2
    assert (answer.status, answer.json["value"]) == (200, "done")
    assert gateway.ask("GET", f"/jobs/{job_id}").json["state"] == "succeeded"


def test_all_who_wait_for_one_job_wake(gateway: RunningGateway) -> None:
    """Twenty long polls for one job are all answered."""
    job_id = gateway.submit()
    with ThreadPoolExecutor(20) as pool:
        waits = [pool.submit(gateway.ask, "GET", f"/jobs/{job_id}/result?wait=30", timeout=40) for _ in range(20)]
        until(lambda: len(gateway.gateway.appliance.waiters) == 20)
        gateway.finish(job_id, value=1)
        assert {wait.result(10).status for wait in waits} == {200}
    assert len(gateway.gateway.appliance.waiters) == 0


def test_a_wait_that_is_over_tells_how_the_job_stands(gateway: RunningGateway) -> None:
    """After the requested time a wait gets 202 with the reason why the job waits."""
    job_id = gateway.submit()
    began = time.monotonic()
    answer = gateway.ask("GET", f"/jobs/{job_id}/result?wait=0.3")
    assert answer.status == 202
    assert 0.25 < time.monotonic() - began < 2
    assert "the job is safe in the ledger" in answer.json["waiting"]


def test_a_wait_is_cut_to_what_the_configuration_allows(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A wait is limited by the configuration, so nobody holds a connection for a week."""
    gateway = start_gateway(make_config(gateway={"max_wait_s": 0.2}))
    job_id = gateway.submit()
    began = time.monotonic()
    assert gateway.ask("GET", f"/jobs/{job_id}/result?wait=600000").status == 202
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("wait", ["-1", "x", "nan", "inf", "1e999", "", "1&wait=2"])
def test_a_wait_that_is_no_time_is_refused(gateway: RunningGateway, wait: str) -> None:
    """A bad wait gets 400 with the value."""
    job_id = gateway.submit()
    assert gateway.ask("GET", f"/jobs/{job_id}/result?wait={wait}").status == 400


def test_a_waiter_whose_client_left_is_forgotten(gateway: RunningGateway) -> None:
    """A long poll of a client that has left is forgotten at once."""
    job_id = gateway.submit()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        gateway.ask("GET", f"/jobs/{job_id}/result?wait=60", timeout=0.3)
    until(lambda: len(gateway.gateway.appliance.waiters) == 0)


def test_a_stop_answers_those_who_wait(gateway: RunningGateway) -> None:
    """A stop answers all waiting clients."""
    job_id = gateway.submit()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.ask, "GET", f"/jobs/{job_id}/result?wait=60", timeout=70)
        until(lambda: len(gateway.gateway.appliance.waiters))
        gateway.stop()
        assert waiting.result(10).status == 202


def test_a_result_has_the_hash_of_its_bytes_as_etag(gateway: RunningGateway) -> None:
    """A result has the hash of its bytes as ETag, and a client that has it gets 304 without a body."""
    job_id = gateway.submit()
    gateway.finish(job_id, value={"a": [1, 2]})
    answer = gateway.ask("GET", f"/jobs/{job_id}/result?wait=10")
    assert answer.headers["ETag"] == f'"{sha256(answer.body).hexdigest()}"'
    again = gateway.ask("GET", f"/jobs/{job_id}/result", If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    head = gateway.ask("HEAD", f"/jobs/{job_id}/result")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])


CONTENT = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("sent", "status", "first", "last"),
    [
        ("", 200, 0, 10239),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=10000-", 206, 10000, 10239),
        ("bytes=10000-99999", 206, 10000, 10239),
        ("bytes=-240", 206, 10000, 10239),
        ("bytes=-99999", 206, 0, 10239),
        ("BYTES=1-2", 206, 1, 2),
        ("bytes=1-2,5-6", 200, 0, 10239),
        ("bytes=9-3", 200, 0, 10239),
        ("bytes=a-b", 200, 0, 10239),
        ("lines=1-2", 200, 0, 10239),
        ("bytes=-", 200, 0, 10239),
    ],
)
def test_a_range_of_a_file(gateway: RunningGateway, sent: str, status: int, first: int, last: int) -> None:
    """One range is served; for anything else the whole file is sent, as in RFC 9110."""
    job_id = gateway.submit()
    gateway.finish(job_id, files={"digits.bin": CONTENT})
    gateway.becomes(job_id, "succeeded")
    headers: dict[str, Any] = {"Range": sent} if sent else {}
    answer = gateway.ask("GET", f"/jobs/{job_id}/files/digits.bin", **headers)
    assert (answer.status, answer.body) == (status, CONTENT[first : last + 1])
    assert answer.headers["ETag"] == f'"{sha256(CONTENT).hexdigest()}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/10240"


def test_a_download_goes_on_only_while_the_file_is_the_same(gateway: RunningGateway) -> None:
    """If-Range with another ETag gets the whole file; a range after the end gets 416."""
    job_id = gateway.submit()
    gateway.finish(job_id, files={"a.txt": b"0123456789", "empty": b""})
    gateway.becomes(job_id, "succeeded")
    path = f"/jobs/{job_id}/files/a.txt"
    etag = gateway.ask("HEAD", path).headers["ETag"]
    same = gateway.ask("GET", path, Range="bytes=5-", If_Range=etag)
    other = gateway.ask("GET", path, Range="bytes=5-", If_Range='"other"')
    past = gateway.ask("GET", path, Range="bytes=10-")
    assert (same.status, same.body) == (206, b"56789")
    assert (other.status, other.body) == (200, b"0123456789")
    assert (past.status, past.headers["Content-Range"]) == (416, "bytes */10")
    assert gateway.ask("GET", path, If_None_Match=etag).status == 304
    assert gateway.ask("GET", path, If_Match='"other"').status == 412
    assert gateway.ask("GET", f"/jobs/{job_id}/files/empty").body == b""
    assert gateway.ask("GET", f"/jobs/{job_id}/files/empty", Range="bytes=0-").status == 416


def test_no_browser_runs_what_a_job_wrote(gateway: RunningGateway) -> None:
    """HTML of a job is sent as a download, never shown as a page of the board."""
    job_id = gateway.submit()
    gateway.finish(job_id, files={"page.html": b"<script>alert(1)</script>"})
    gateway.becomes(job_id, "succeeded")
    headers = gateway.ask("GET", f"/jobs/{job_id}/files/page.html").headers
    assert headers["Content-Disposition"] == 'attachment; filename="page.html"'
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["b.txt", "..", "%2e%2e%2fledger.sqlite", "..%2f..%2ftokens.json", "a.txt%00", "%ff"])
def test_no_other_file_can_be_fetched(gateway: RunningGateway, name: str) -> None:
    """Only files that the result lists are served; a path trick is an unknown name."""
    job_id = gateway.submit()
    gateway.finish(job_id, files={"a.txt": b"x"})
    gateway.becomes(job_id, "succeeded")
    assert gateway.ask("GET", f"/jobs/{job_id}/files/{name}").status == 404


def test_a_file_of_an_open_job_is_not_there_yet(gateway: RunningGateway) -> None:
    """A file of an open job gets 404, and the sentence names the job and the file."""
    job_id = gateway.submit()
    answer = gateway.ask("GET", f"/jobs/{job_id}/files/a.txt")
    assert (answer.status, answer.json["code"]) == (404, "unknown-file")
    assert answer.json["detail"] == f"job {job_id!r} has no file 'a.txt': it left none"


def test_a_damaged_result_is_reported_and_not_served(gateway: RunningGateway) -> None:
    """A damaged result is not served; the job is over and says why there is no value."""
    job_id = gateway.submit()
    path = Results(gateway.layout).path(job_id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"sha256":"00","payload":{"id":')
    Results(gateway.layout).announce(job_id)
    view = gateway.becomes(job_id, "failed")
    assert "damaged" in view["error"]
    answer = gateway.ask("GET", f"/jobs/{job_id}/result")
    assert (answer.status, answer.json["code"]) == (500, "storage")


def test_a_result_too_deep_to_be_read_ends_its_job_and_no_other(gateway: RunningGateway) -> None:
    """A result too deep to be read ends its job as damaged, even if its body had raised the recursion limit."""
    deep, sound = gateway.submit(), gateway.submit()
    path = Results(gateway.layout).path(deep)
    path.parent.mkdir(parents=True)
    nested = b"[" * 50_000 + b"]" * 50_000
    payload = b'{"id":"%s","task":"echo","state":"succeeded","value":%s}' % (deep.encode(), nested)
    path.write_bytes(b'{"sha256":"%s","payload":%s}' % (sha256(payload).hexdigest().encode(), payload))
    Results(gateway.layout).announce(deep)
    gateway.finish(sound)
    gateway.becomes(sound, "succeeded")
    assert "damaged" in gateway.becomes(deep, "failed")["error"]
    assert gateway.ask("GET", f"/jobs/{deep}/result").json["code"] == "storage"


def test_a_persons_files_among_the_results_are_left_alone(config: Config, start_gateway: StartGateway) -> None:
    """A copy of a result made by hand does not keep the gateway from noticing results."""
    shard, staging = config.layout.results / "ab", config.layout.staging
    shard.mkdir(parents=True)
    staging.mkdir()
    for name in ("ab copy.json", "ab copy.gone", "-x.json"):
        (shard / name).write_bytes(b"?")
    gateway = start_gateway(config)
    for name in ("-x.json", "a b.gone"):
        (staging / name).touch()
        (staging / name).unlink()
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    Results(config.layout).recover()
    assert len(list(shard.iterdir())) == 3


def test_a_fault_of_ours_does_not_make_the_gateway_deaf(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an internal error, results not yet settled are tried again with the later ones."""
    monkeypatch.setattr("edge.gateway.background.settle._AGAIN_S", 0.1)
    faults = iter([ZeroDivisionError("a fault"), RecursionError("another")])
    finish = LedgerWriter.finish_all

    def failing(self: LedgerWriter, *args: Any, **kwargs: Any) -> None:
        for fault in faults:
            raise fault
        finish(self, *args, **kwargs)

    monkeypatch.setattr(LedgerWriter, "finish_all", failing)
    ids = [gateway.submit() for _ in range(2)]
    for job_id in ids:
        gateway.finish(job_id)
    for job_id in ids:
        gateway.becomes(job_id, "succeeded")


def test_a_result_that_cannot_be_read_for_a_moment_is_noted_all_the_same(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that cannot be read for a moment, for example without free file descriptors, is noted soon after."""
    monkeypatch.setattr("edge.gateway.background.settle._AGAIN_S", 0.1)
    faults, read_sized = iter([OSError(24, "Too many open files")] * 2), Results.read_sized

    def failing(self: Results, job_id: str) -> tuple[Result, int] | None:
        for fault in faults:
            raise fault
        return read_sized(self, job_id)

    monkeypatch.setattr(Results, "read_sized", failing)
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")


def test_a_result_that_no_ledger_can_hold_keeps_no_other_from_being_noted(gateway: RunningGateway) -> None:
    """A result with a number beyond SQLite's range counts as damaged, and does not block other results."""
    other, job_id = gateway.submit(), gateway.submit()
    Results(gateway.layout).publish(Result(job_id, "echo", JobState.SUCCEEDED, attempts=1 << 70))
    gateway.finish(other)
    gateway.becomes(other, "succeeded")
    gateway.becomes(job_id, "failed")


def test_a_cancel_writes_an_order_that_stays_until_the_result(gateway: RunningGateway) -> None:
    """A cancel gets 202 at once, and its order stays in /run until the result is there."""
    job_id = gateway.submit()
    answer = gateway.ask("DELETE", f"/jobs/{job_id}")
    assert (answer.status, answer.json["cancelling"]) == (202, True)
    assert answer.json["waiting"] == "asked to stop; it ends when a worker runs"
    orders = Orders(gateway.layout)
    assert list(orders.standing()) == [(Order.CANCEL, job_id)]
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    until(lambda: list(orders.standing()) == [])


def test_a_removal_writes_an_order_that_stays_until_the_tombstone(gateway: RunningGateway) -> None:
    """A removal gets 202 until a worker has carried it out, then 410 forever."""
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    assert gateway.ask("DELETE", f"/jobs/{job_id}").status == 202
    orders = Orders(gateway.layout)
    assert list(orders.standing()) == [(Order.DELETE, job_id)]
    Results(gateway.layout).remove(job_id)
    until(lambda: gateway.ask("GET", f"/jobs/{job_id}").status == 410)
    until(lambda: list(orders.standing()) == [])
    assert gateway.ask("GET", f"/jobs/{job_id}/result").status == 410
    assert gateway.ask("DELETE", f"/jobs/{job_id}").status == 410
    assert gateway.ask("GET", "/jobs").json["jobs"] == []


def test_a_removal_that_a_worker_does_at_once_is_answered_as_done(gateway: RunningGateway) -> None:
    """A removal that a worker carries out at once gets 204."""
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    write_worker_status(gateway)
    orders = Orders(gateway.layout)

    def work() -> None:
        until(lambda: (Order.DELETE, job_id) in orders.standing())
        Results(gateway.layout).remove(job_id)

    worker = threading.Thread(target=work)
    worker.start()
    assert gateway.ask("DELETE", f"/jobs/{job_id}").status == 204
    worker.join()


def test_a_result_that_is_announced_again_ends_no_removal(gateway: RunningGateway) -> None:
    """A result that is announced again during a removal does not end the removal."""
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    write_worker_status(gateway)
    orders, results = Orders(gateway.layout), Results(gateway.layout)
    order = (Order.DELETE, job_id)
    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(gateway.ask, "DELETE", f"/jobs/{job_id}")
        until(lambda: order in orders.standing())
        settled = gateway.gateway.appliance.settled
        results.announce(job_id)
        until(lambda: gateway.gateway.appliance.settled > settled)
        gateway.becomes(job_id, "succeeded")  # the loop has handled the announcement
        assert order in orders.standing()
        results.remove(job_id)
        assert removing.result(10).status == 204


def test_the_children_of_a_result_that_is_seen_early_are_known(gateway: RunningGateway, tmp_path: Path) -> None:
    """The children of a result are known to a reader that sees the file before the gateway is notified of it."""
    job_id = gateway.submit()
    family = SpawnedJobs(job_id, (SpawnedJob("echo", args=[1], call=1),))
    child = family.jobs[0].id(job_id)
    elsewhere = Layout(tmp_path / "elsewhere", gateway.layout.run)
    Results(elsewhere).publish(Result(job_id, "echo", JobState.SUCCEEDED, children=(child,)))
    # Neither file is renamed into place, so the gateway does not notice them.
    gateway.layout.spawned.joinpath(f"{job_id}.000001.0123abcd.json").write_bytes(msgspec.json.encode(family))
    path = Results(gateway.layout).path(job_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Results(elsewhere).path(job_id), path)
    answer = gateway.ask("GET", f"/jobs/{job_id}/result")
    assert answer.json["children"] == [child]
    assert gateway.ask("GET", f"/jobs/{child}").json["parent"] == job_id


def test_if_state_guards_against_the_race_between_end_and_cancel(gateway: RunningGateway) -> None:
    """A cancel with if_state never removes a result that came just before it."""
    job_id = gateway.submit()
    assert gateway.ask("DELETE", f"/jobs/{job_id}?if_state=final").json["code"] == "wrong-state"
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    answer = gateway.ask("DELETE", f"/jobs/{job_id}?if_state=open")
    assert (answer.status, answer.json["code"]) == (409, "wrong-state")
    assert gateway.ask("GET", f"/jobs/{job_id}/result").status == 200


def test_what_runs_is_seen_with_its_progress(gateway: RunningGateway) -> None:
    """State, worker and progress of a running job come from the worker's status file, read on request."""
    job_id, other = gateway.submit(), gateway.submit()
    job = RunningJob(job_id, "echo", time.time() - 5, attempt=2, progress=Progress(3, 10, "third"))
    write_worker_status(gateway, job)
    view = gateway.ask("GET", f"/jobs/{job_id}").json
    assert (view["state"], view["worker"], view["attempts"]) == ("running", "main", 2)
    assert view["progress"] == {"done": 3.0, "total": 10.0, "note": "third"}
    assert "waiting" not in view
    running = gateway.ask("GET", "/jobs?state=running").json["jobs"]
    assert [job["id"] for job in running] == [job_id]
    accepted = gateway.ask("GET", "/jobs?state=accepted").json["jobs"]
    assert [job["id"] for job in accepted] == [other]


def test_a_worker_that_died_runs_nothing(gateway: RunningGateway) -> None:
    """The status file of a worker with a dead process or another boot does not count."""
    job_id = gateway.submit()
    job = RunningJob(job_id, "echo", time.time())
    living = write_worker_status(gateway, job)
    for dead in ({"pid": 2**22 + 1}, {"boot_id": "other"}, {"state": WorkerState.STOPPED}):
        record = msgspec.structs.replace(living, **dead)
        gateway.layout.worker("main").write_bytes(msgspec.json.encode(record))
        assert gateway.ask("GET", f"/jobs/{job_id}").json["state"] == "accepted"
    gateway.layout.worker("main").write_bytes(b"not json")
    assert "workers" not in gateway.ask("GET", "/status").json


def test_pages_go_on_where_the_last_one_ended(gateway: RunningGateway) -> None:
    """Pages list every job once, newest first, also if new jobs come in between."""
    ids = [gateway.submit() for _ in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = gateway.ask("GET", f"/jobs?limit=3{cursor}").json
        seen += [job["id"] for job in page["jobs"]]
        if "next" not in page:
            break
        gateway.submit()
        cursor = f"&cursor={page['next']}"
    assert seen == ids[::-1]


def test_lists_are_filtered_by_task_and_state(gateway: RunningGateway) -> None:
    """Lists can be filtered by task and state, also by both."""
    echo, done = gateway.submit(), gateway.submit()
    nothing = gateway.ask("POST", "/jobs", {"task": "nothing"}).json["id"]
    gateway.finish(done)
    gateway.becomes(done, "succeeded")

    def listed(query: str) -> list[str]:
        return [job["id"] for job in gateway.ask("GET", f"/jobs?{query}").json["jobs"]]

    assert listed("task=nothing") == [nothing]
    assert listed("state=succeeded") == [done]
    assert listed("state=accepted&task=echo") == [echo]
    assert listed("state=failed") == []


def test_a_job_of_plain_celery_gets_its_row(gateway: RunningGateway) -> None:
    """A result without a submit gets a row with submitter `amqp`."""
    job_id = new_job_id()
    gateway.finish(job_id, value=1)
    view = until(lambda: (answer := gateway.ask("GET", f"/jobs/{job_id}")).status == 200 and answer.json)
    assert (view["submitter"], view["state"]) == ("amqp", "succeeded")
    assert gateway.ask("GET", f"/jobs/{job_id}/result").json["value"] == 1


def test_a_start_finds_all_that_happened_meanwhile(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    """At its start the gateway notices ended, removed, retried, cancelled and foreign jobs without any event."""
    ended, removed, retried, cancelled = [gateway.submit() for _ in range(4)]
    retried = gateway.ask("POST", "/jobs", {"task": "nothing", "retries": 3}).json["id"]
    foreign = new_job_id()
    gateway.ask("DELETE", f"/jobs/{cancelled}")
    gateway.stop()
    gateway.finish(ended)
    gateway.finish(removed)
    gateway.finish(foreign)
    Results(gateway.layout).remove(removed)
    AttemptsStore(gateway.layout).write(Attempts(retried, failures=1, last_error="it rained"))
    Orders(gateway.layout).removed([cancelled])  # as a boot clears /run

    again = start_gateway(gateway.config)
    again.becomes(ended, "succeeded")
    until(lambda: again.ask("GET", f"/jobs/{removed}").status == 410)
    assert again.becomes(retried, "retrying")["waiting"].startswith("retry 1 of 3 due in")
    until(lambda: again.ask("GET", f"/jobs/{foreign}").status == 200)
    assert list(Orders(again.layout).standing()) == [(Order.CANCEL, cancelled)]


def test_a_failed_attempt_gets_a_due_time(gateway: RunningGateway) -> None:
    """A new attempts file becomes a due time in the ledger; a stale one changes nothing."""
    job_id = gateway.ask("POST", "/jobs", {"task": "nothing", "retries": 2}).json["id"]
    attempts = AttemptsStore(gateway.layout)
    attempts.write(Attempts(job_id, failures=1, last_error="ValueError: no"))
    view = gateway.becomes(job_id, "retrying")
    assert view["error"] == "ValueError: no"
    assert view["due_at"] > time.time()
    attempts.write(Attempts(job_id, failures=1, last_error="the same again"))
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")


def test_a_cancel_that_came_as_the_body_failed_ends_the_wait_for_another_attempt(gateway: RunningGateway) -> None:
    """If a cancel came while the body failed, the gateway writes the order again when it notices the failed attempt."""
    job_id = gateway.ask("POST", "/jobs", {"task": "nothing", "retries": 2}).json["id"]
    gateway.ask("DELETE", f"/jobs/{job_id}")
    orders = Orders(gateway.layout)
    orders.removed([job_id])  # as if the worker had carried it out
    AttemptsStore(gateway.layout).write(Attempts(job_id, failures=1, last_error="ValueError: no"))
    until(lambda: list(orders.standing()) == [(Order.CANCEL, job_id)])


def test_more_results_at_once_than_the_kernel_remembers_are_all_seen(gateway: RunningGateway) -> None:
    """If events are lost, the gateway reads all files, and misses no result."""
    job_id = gateway.submit()
    other = new_job_id()
    gateway.loop.call_soon_threadsafe(gateway.gateway.appliance._events.close)
    until(lambda: gateway.gateway.appliance._events._watch is None)
    gateway.finish(job_id)
    gateway.finish(other)
    gateway.loop.call_soon_threadsafe(gateway.gateway.appliance._events.add, Announced(lost=True))
    gateway.becomes(job_id, "succeeded")
    gateway.becomes(other, "succeeded")


def test_a_watched_folder_that_is_replaced_is_watched_anew(gateway: RunningGateway) -> None:
    """If results/.staging is replaced while the gateway runs, the new folder is watched."""
    gateway.layout.staging.rmdir()
    until(gateway.layout.staging.exists)
    job_id = gateway.submit()
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")


def test_old_jobs_go_when_they_take_too_much_room(
    make_config: MakeConfig, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If ended jobs use too much space, the oldest are removed; open and new jobs stay."""
    monkeypatch.setattr("edge.gateway.background.retention._SOON_S", 0.05)
    gateway = start_gateway(make_config(retention={"keep_bytes": 1 << 20}))
    open_id = gateway.submit()
    ids = [gateway.submit() for _ in range(3)]
    for job_id in ids:
        gateway.finish(job_id, files={"big": bytes(500_000)})
        gateway.becomes(job_id, "succeeded")
    orders = Orders(gateway.layout)
    until(lambda: list(orders.standing()) == [(Order.DELETE, ids[0])])
    assert gateway.ask("GET", f"/jobs/{open_id}").json["state"] == "accepted"


def test_the_deadline_of_a_job_that_has_ended_is_forgotten(gateway: RunningGateway) -> None:
    """The gateway forgets the deadline of an ended job. It may be a year away, so it would fill the memory."""
    body = {"task": "echo", "args": ["x"], "power": "surplus", "deadline_s": 86_400}
    ended, waits = (gateway.ask("POST", "/jobs", body).json["id"] for _ in range(2))
    outbox = gateway.gateway.appliance.outbox
    assert set(outbox._deadlines) == {ended, waits}
    gateway.finish(ended)
    gateway.becomes(ended, "succeeded")
    assert set(outbox._deadlines) == {waits}
