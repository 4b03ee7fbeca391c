"""`GET /v1/events` on a real port: order, filters, resuming, scopes, and no cost without readers."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.access.tokens import Scope, Tokens
from edge.catalog import catalogue
from edge.client import Client, Settings
from edge.config import Config
from edge.core.errors import NotReady
from edge.model import PowerState
from edge.wire import About
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import RunningWorker, report_power, until

pytestmark = pytest.mark.timeout(120)


class Stream:
    """One reader; `next` returns the events in order."""

    def __init__(self, port: int, query: str = "", after: str = "", token: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Last-Event-ID": after} if after else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._connection.request("GET", f"/v1/events{query}", headers=headers)
        self._answer = self._connection.getresponse()
        self.status, self.headers = self._answer.status, self._answer.headers
        self.id = ""

    def body(self) -> Any:
        """The whole body of a refusal."""
        return json.loads(self._answer.read())

    def block(self) -> dict[str, str] | None:
        """Return the fields of the next block, or None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self._answer.readline().decode():
            if line == "\n":
                if "id" in fields:
                    self.id = fields["id"]
                return fields
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return None

    def next(self) -> Any:
        """Return the data of the next event."""
        while True:
            block = self.block()
            assert block is not None, "the stream has ended"
            if "data" in block:
                data = json.loads(block["data"])
                assert data["about"] == block["event"]
                return data

    def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Return all events up to the first that is `wanted`."""
        found: list[Any] = []
        while not found or not wanted(found[-1]):
            found.append(self.next())
        return found

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()
        self._connection.close()


@contextmanager
def reading(gateway: RunningGateway, query: str = "", after: str = "", token: str = "") -> Iterator[Stream]:
    """Open a reader that gets all changes from now on."""
    stream = Stream(gateway.port, query, after, token)
    try:
        if stream.status == 200:
            first = stream.block()
            assert first is not None
            assert first.keys() == {"retry", "id"}
        yield stream
    finally:
        stream.close()


def ended(event: Any) -> bool:
    """Return True for the end of a job."""
    return event.get("job", {}).get("state") in {"succeeded", "failed", "cancelled"}


def states(events: list[Any]) -> list[str]:
    """Return the states of job events, without repeats."""
    found = [event["job"]["state"] for event in events if event["about"] == "job"]
    return [state for number, state in enumerate(found) if number == 0 or found[number - 1] != state]


@pytest.mark.broker
def test_a_job_is_seen_from_accepted_to_its_end(
    odd: Config, worker: RunningWorker, start_gateway: StartGateway, tmp_path: Path
) -> None:
    """A reader sees a job in order, with progress, from submit to result."""
    gateway = start_gateway(odd)
    gateway.gateway.appliance.kinds._catalogue = catalogue.load(tmp_path / "edge.yaml")
    gateway.becomes(gateway.submit("echo"), "succeeded")
    with reading(gateway, "?about=job") as stream:
        job_id = gateway.submit("steps", 4, 0.3)
        events = stream.until(ended)
    assert {event["job"]["id"] for event in events} == {job_id}
    assert states(events) in (
        ["accepted", "queued", "running", "succeeded"],
        ["accepted", "running", "succeeded"],  # the worker was faster than the broker's confirm
    )
    running = [event["job"] for event in events if event["job"]["state"] == "running"]
    assert running[0]["worker"] == odd.worker.name
    done = [job["progress"]["done"] for job in running if "progress" in job]
    assert done == sorted(done)
    assert done
    assert events[-1]["job"]["attempts"] == 1


def test_a_reader_that_comes_back_misses_nothing(gateway: RunningGateway) -> None:
    """Over many reconnects a reader gets each event once and in order, also those of the time between."""
    seen: list[str] = []
    handed_in: list[str] = []
    after = ""
    for _ in range(6):
        with reading(gateway, "?state=accepted", after) as stream:
            handed_in.append(gateway.submit())
            while len(seen) < len(handed_in):
                seen.append(stream.next()["job"]["id"])
            after = stream.id
        handed_in += [gateway.submit() for _ in range(3)]
    assert seen == handed_in[: len(seen)]
    with reading(gateway, "?state=accepted", after) as stream:
        seen += [stream.next()["job"]["id"] for _ in range(len(handed_in) - len(seen))]
    assert seen == handed_in


@pytest.mark.parametrize(
    "after", ["0123456789ab-7", "{boot}-99", "7", "{boot}-", "{boot}--1", "{boot}-9999999999999999"]
)
def test_what_cannot_be_resumed_begins_with_one_reset(gateway: RunningGateway, after: str) -> None:
    """An id of an earlier gateway process, or one that never existed, gives one reset; then events come as usual."""
    boot = gateway.gateway.appliance.journal.boot
    with reading(gateway, "?about=job", after.format(boot=boot)) as stream:
        job_id = gateway.submit()
        first, second = stream.next(), stream.next()
        assert first["about"] == "reset"
        assert (second["about"], second["job"]["id"]) == ("job", job_id)


def test_what_is_older_than_the_ring_begins_with_a_reset(gateway: RunningGateway) -> None:
    """A reader that missed more events than are kept gets one reset."""
    with reading(gateway) as stream:
        gateway.submit()
        stream.until(lambda event: event["about"] == "job")
        after = stream.id
    journal = gateway.gateway.appliance.journal
    journal.size = len(journal._ring)  # as if this many were kept
    gateway.submit()
    gateway.submit()
    with reading(gateway, "?about=job", after) as stream:
        assert stream.next()["about"] == "reset"
        job_id = gateway.submit()
        assert stream.next()["job"]["id"] == job_id


def test_filters_leave_out_what_nobody_asked_for(gateway: RunningGateway) -> None:
    """Events can be filtered by job, kind, state and subject."""
    report_power(gateway.config, PowerState.NORMAL)
    with (
        reading(gateway, "?kind=total") as by_kind,
        reading(gateway, "?state=succeeded,failed") as by_state,
        reading(gateway, "?about=power") as by_topic,
    ):
        first, second = gateway.submit(), gateway.submit("total", [1, 2])
        with reading(gateway, f"?job={second}") as by_job:
            report_power(gateway.config, PowerState.LOW)
            gateway.finish(first)
            gateway.finish(second)
            assert states(by_job.until(ended)) == ["succeeded"]
        assert {event["job"]["id"] for event in by_kind.until(lambda event: event["job"]["task"] == "total")} == {
            second
        }
        assert {by_state.next()["job"]["id"], by_state.next()["job"]["id"]} == {first, second}
        message = by_topic.next()
        assert (message["about"], message["power"]["state"]) == ("power", "low")
        assert message["power"]["readings"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?state=done", "query state = 'done': expected one of accepted, queued"),
        ("?job=../x", "query job = '../x': expected ids of jobs"),
        ("?job=a,,b", "query job = '': expected ids of jobs"),
        ("?kind=1x", "query kind = '1x': expected names of kinds"),
        ("?about=weather", "query about = 'weather': expected one of job, power, worker, broker"),
        ("?about=reset", "query about = 'reset': expected one of"),
        ("?colour=red", "query 'colour' is unknown"),
        ("?state=failed&state=queued", "given twice"),
        ("?job=" + ",".join(f"j{number}" for number in range(101)), "101 values; at most 100"),
    ],
)
def test_the_error_of_a_bad_filter_is_one_line(gateway: RunningGateway, query: str, detail: str) -> None:
    """The refusal names the parameter, its value and what is allowed."""
    answer = gateway.ask("GET", f"/events{query}")
    assert (answer.status, answer.json["code"]) == (400, "bad-request")
    assert detail in answer.json["detail"]
    assert "\n" not in answer.json["detail"]


@pytest.mark.parametrize("after", ["", "x" * 101])
def test_the_error_of_a_bad_last_event_id_is_one_line(gateway: RunningGateway, after: str) -> None:
    """A text that cannot be an id is refused."""
    answer = gateway.ask("GET", "/events", Last_Event_ID=after)
    assert (answer.status, answer.json["code"]) == (400, "bad-request")
    assert "Last-Event-ID" in answer.json["detail"]


@pytest.fixture
def closed(make_config: MakeConfig, start_gateway: StartGateway) -> RunningGateway:
    """A gateway that requires tokens."""
    return start_gateway(make_config(gateway={"loopback_without_token": False}))


def test_events_need_a_token_that_may_look(closed: RunningGateway) -> None:
    """No token and an unknown one get 401, and that of a node gets 403."""
    node = Tokens(closed.layout.tokens).add("node", [Scope.NODE])
    assert closed.ask("GET", "/events").status == 401
    assert closed.ask("GET", "/events", Authorization="Bearer nonsense").status == 401
    assert closed.ask("GET", "/events", Authorization=f"Bearer {node}").status == 403


def test_a_submitter_sees_its_own_jobs_a_reader_all(closed: RunningGateway) -> None:
    """A submitter sees only its own jobs, as in lists, and learns nothing of others; a reader sees all."""
    tokens = Tokens(closed.layout.tokens)
    one, other = (tokens.add(name, [Scope.SUBMIT]) for name in ("one", "other"))
    reader = tokens.add("reader", [Scope.READ])
    with reading(closed, token=one) as own, reading(closed, "?about=job", token=reader) as every:
        foreign = closed.submit(Authorization=f"Bearer {other}")
        with reading(closed, f"?job={foreign}", token=one) as curious:
            mine = closed.submit(Authorization=f"Bearer {one}")
            for job_id in (foreign, mine):
                closed.finish(job_id)
            seen = set[str]()
            while seen != {foreign, mine}:
                seen.add(every.next()["job"]["id"])
            assert {event["job"]["id"] for event in own.until(ended) if event["about"] == "job"} == {mine}
            closed.loop.call_soon_threadsafe(closed.gateway.appliance.end_waits)
            assert curious.block() is None


def test_removal_and_cancel_are_events(gateway: RunningGateway) -> None:
    """A cancel request and a removal are events."""
    job_id = gateway.submit()
    with reading(gateway, f"?job={job_id}") as stream:
        gateway.ask("DELETE", f"/jobs/{job_id}")
        assert stream.next()["job"]["cancelling"]
        gateway.finish(job_id)
        assert ended(stream.next())
        gateway.gateway.appliance.results.remove(job_id)
        assert stream.next()["job"]["removed"]


def test_without_a_reader_nothing_is_noted_and_nothing_is_watched(gateway: RunningGateway) -> None:
    """Before the first reader no event is made; after the last one no status file is watched."""
    appliance = gateway.gateway.appliance
    gateway.submit()
    assert not appliance.journal.on
    assert appliance.journal.last == 0
    with reading(gateway):
        assert len(appliance.readers) == 1
    until(lambda: len(appliance.readers) == 0, "the reader is still there")
    descriptors = len(gateway._selector.get_map())
    looked: list[int] = []
    appliance.readers._watch._workers = lambda: looked.append(1) or []  # type: ignore[func-returns-value]
    report_power(gateway.config, PowerState.LOW)
    gateway.submit()
    assert not looked
    assert appliance.journal.last > 0  # so that a reader that comes back misses nothing
    assert len(gateway._selector.get_map()) <= descriptors + 1  # one more for the connection of the submit


def test_streams_take_half_of_the_connections_at_most(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """Streams may use half of the connections; the next stream is refused, and submits still work."""
    gateway = start_gateway(make_config(gateway={"max_connections": 4}))
    with reading(gateway), reading(gateway):
        refused = gateway.ask("GET", "/events")
        assert (refused.status, refused.json["code"]) == (503, "busy")
        assert "Retry-After" in refused.headers
        gateway.submit()


def test_a_stream_ends_with_the_gateway(gateway: RunningGateway) -> None:
    """At a stop each reader gets a complete answer, and the stop waits for no reader."""
    with reading(gateway) as stream:
        gateway.stop()
        while (block := stream.block()) is not None:
            assert block


def test_a_stream_ends_after_the_longest_wait(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A stream ends after the longest wait, so a revoked token does not keep it forever."""
    gateway = start_gateway(make_config(gateway={"max_wait_s": 0.2}))
    with reading(gateway) as stream:
        assert stream.block() is None


def test_head_answers_at_once(gateway: RunningGateway) -> None:
    """HEAD returns the headers, without a stream."""
    answer = gateway.ask("HEAD", "/events")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")


def client_of(gateway: RunningGateway) -> Client:
    """Return a client as programs use it."""
    return Client(settings=Settings(url=f"http://127.0.0.1:{gateway.port}"))


def test_the_client_gives_typed_events_and_resumes(gateway: RunningGateway) -> None:
    """The client yields typed events, each once, across connections that end, and resumes from a stored id."""
    with client_of(gateway) as client:
        events = client.events(state="accepted")
        ids = [gateway.submit()]
        first = next(events)
        assert (first.about, first.job and first.job.id) == (About.JOB, ids[0])
        for reader in tuple(gateway.gateway.appliance.readers._readers):
            gateway.loop.call_soon_threadsafe(reader.close)
        ids += [gateway.submit() for _ in range(3)]
        assert [event.job.id for event in (next(events), next(events), next(events)) if event.job] == ids[1:]
        again = client.events(state="accepted", after=first.id)
        assert [event.job.id for event in (next(again), next(again), next(again)) if event.job] == ids[1:]


def test_the_wait_of_a_client_uses_events(gateway: RunningGateway) -> None:
    """If there are events, `wait` asks once at first, and again only after a change."""
    job_id = gateway.submit()
    asked: list[str] = []
    with client_of(gateway) as client, ThreadPoolExecutor(1) as thread:
        send = client._http.send

        def counted(method: str, path: str, **options: Any) -> Any:
            asked.append(path)
            return send(method, path, **options)

        client._http.send = counted  # type: ignore[method-assign]
        waiting = thread.submit(client.wait, job_id, timeout=60, on_progress=lambda _: None)
        until(lambda: len(gateway.gateway.appliance.readers) == 1, "the client reads no events")
        until(lambda: len(asked) >= 3, "the client has not looked")
        looks = len(asked)
        gateway.finish(job_id, value=7)
        assert waiting.result(30).value == 7
        assert len(asked) <= looks + 2


def test_the_clients_wait_works_without_events(gateway: RunningGateway) -> None:
    """If the gateway has no stream, here because of too many readers, `wait` asks as before."""
    gateway.gateway.appliance.readers._most = 0
    job_id = gateway.submit()
    with client_of(gateway) as client, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.wait, job_id, timeout=60, on_progress=lambda _: None)
        time.sleep(1.5)
        gateway.finish(job_id, value=7)
        assert waiting.result(30).value == 7


def test_a_wait_that_uses_events_ends_in_time(gateway: RunningGateway) -> None:
    """A wait by events ends at its timeout and reports the state of the job."""
    job_id = gateway.submit()
    with client_of(gateway) as client, pytest.raises(NotReady, match="accepted"):
        client.wait(job_id, timeout=2.0, on_progress=lambda _: None)


def example() -> str:
    """Return the program in docs/reference/events.md."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "events.md").read_text()
    (code,) = re.findall(r"<!-- test: events.py -->\n```python\n(.*?)```", page, re.DOTALL)
    return str(code)


def test_the_example_of_the_page_runs_as_it_stands(gateway: RunningGateway) -> None:
    """The program prints the states of its job until the end."""
    code = example().replace('"solve", 1, "What is 50 divided by 2?"', '"echo", "hello"')
    env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    env |= {"EDGE_URL": f"http://127.0.0.1:{gateway.port}", "HOME": "/nonexistent"}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) as program:
        try:
            found = until(lambda: gateway.ask("GET", "/jobs").json["jobs"], "it submits nothing")
            gateway.finish(found[0]["id"])
            assert program.communicate(timeout=60)[0].split() == ["accepted", "succeeded"]
            assert program.returncode == 0
        finally:
            program.kill()
