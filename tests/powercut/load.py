"""Plays the submitters on the LAN: they submit jobs in every way, read results, cancel and remove until stopped."""

from __future__ import annotations

import http.client
import random
import threading
import time
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
from celery import Celery

from edge.broker import topology
from edge.config import BrokerConfig
from edge.model import Pool, Power
from edge.wire import BatchAnswer, JobView
from tests.powercut.client import TIMEOUT_S, Http
from tests.powercut.jobs import digest_of_file
from tests.powercut.oracle import Oracle, Sent, Way
from tests.powercut.parcels import LOST, Parcels, Uploader
from tests.powercut.trap import Moment, Trap

#: The kind of a job, its arguments, and its power class; None for the class of its kind.
Request = tuple[str, list[Any], Power | None]

#: Kinds whose jobs come with a file.
GIVEN_FILES = ("weighed", "joined")
#: Share of programs among the jobs.
_PROGRAMS = 0.08
_MOST_OPEN_IN_BURSTS = 300
#: Numbers of jobs in a burst: less than a worker's window, just over it, and more than two windows.
_BURSTS = (10, 70, 150)


class Mood(StrEnum):
    """How the submitters behave."""

    CROWD = "crowd"  # many submitters at once, with jobs of every kind
    QUIET = "quiet"  # a single submitter
    UPLOADS = "uploads"  # submitters that upload files, each for a job
    BURSTS = "bursts"  # hundreds of short jobs at once, so that workers commit them in groups


class Load:
    """Threads that submit to one board while it has power."""

    def __init__(
        self,
        oracle: Oracle,
        *,
        port: int,
        broker_config: BrokerConfig,
        seed: int,
        open_jobs: Callable[[], int],
        trap: Trap | None = None,
        mood: Mood = Mood.CROWD,
        parcels: Parcels | None = None,
        programs: bool = False,
    ) -> None:
        """Prepare the threads.

        Args:
            oracle: Records each submission and each receipt.
            port: The port of the gateway.
            broker_config: How the submitters of plain Celery messages connect.
            seed: Fixes what the submitters do.
            open_jobs: Returns how many accepted jobs have no result; submitters wait while there are too many.
            trap: Is told each answer, and may cut the power at one.
            mood: How the submitters behave.
            parcels: The files of the campaign, for uploads.
            programs: True if the board has the kinds of job that are programs.
        """
        self._oracle, self._port, self._broker = oracle, port, broker_config
        self._open_jobs, self._trap = open_jobs, trap
        self._parcels, self._programs = parcels or Parcels(), programs
        self._faults: list[tuple[float, str]] = []
        self._stop = threading.Event()
        turns = {
            Mood.CROWD: (self._http, self._http, self._celery, self._watch, self._watch, self._upload),
            Mood.UPLOADS: (self._upload, self._upload, self._upload, self._watch),
            Mood.QUIET: (self._patient,),
            Mood.BURSTS: (self._bursts, self._bursts, self._celery, self._watch, self._watch),
        }[mood]
        self._most_open, self._kinds = (
            (_MOST_OPEN_IN_BURSTS, short_job) if mood is Mood.BURSTS else (80, self._some_job)
        )
        self._threads = [
            threading.Thread(target=turn, args=(random.Random(f"{seed}/{number}"),), daemon=True)
            for number, turn in enumerate(turns)
        ]

    def marathon(self, count: int) -> Sent:
        """Submit the one job that must outlast many cuts: `count` steps, about 25 a second."""
        sent = self._oracle.send("steps", [1, count], Way.HTTP)
        self._submit(Http(self._port), sent, None)
        return sent

    def start(self) -> None:
        """Start all submitters."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, before: float) -> list[str]:
        """End the submitters, and return the faults in answers that came before monotonic time `before`, the cut."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S * 4)
        return [fault for at, fault in self._faults if at < before]

    # ---- HTTP ----

    def _http(self, rng: random.Random) -> None:
        client = Http(self._port)
        acts = (self._one, self._keyed, self._again, self._batch, self._cancel, self._remove)
        while not self._stop.is_set():
            self._breathe(rng)
            (act,) = rng.choices(acts, weights=(8, 4, 3, 2, 2, 2))
            try:
                act(client, rng)
            except (OSError, http.client.HTTPException):
                client.close()
                self._stop.wait(0.05)

    def _one(self, client: Http, rng: random.Random) -> None:
        kind, args, power = self._some_job(rng)
        self._submit(client, self._oracle.send(kind, args, Way.HTTP), power)

    def _keyed(self, client: Http, rng: random.Random) -> None:
        kind, args, power = self._some_job(rng)
        self._submit(client, self._oracle.send(kind, args, Way.KEY, key=uuid.uuid4().hex), power)

    def _again(self, client: Http, rng: random.Random) -> None:
        """Submit the same key and body once more, as after a lost answer."""
        keyed = [sent for sent in self._oracle.recent(60) if sent.key and not sent.removed]
        if keyed:
            self._submit(client, rng.choice(keyed), None)

    def _some_job(self, rng: random.Random) -> Request:
        if self._programs and rng.random() < _PROGRAMS:
            return "halves", [rng.randrange(10_000)], None
        return some_job(rng)

    def _submit(self, client: Http, sent: Sent, power: Power | None) -> None:
        body: dict[str, Any] = {"task": sent.kind, "args": sent.args}
        if power is not None and not sent.key:
            body["power"] = power
        if sent.kind in GIVEN_FILES:
            body["files"] = {"clip": {"sha256": digest_of_file(sent.args)}}
        headers = {"Idempotency-Key": sent.key} if sent.key else {}
        status, answer = client.ask("POST", "/v1/jobs", msgspec.json.encode(body), headers)
        if status in (200, 202):
            self._note(self._oracle.accepted(sent, msgspec.json.decode(answer, type=JobView).id, time.monotonic()))
            self._reached("accepted")
        elif status < 500:
            self._note(f"a good job was refused with {status}: {answer[:200]!r}")

    def _batch(self, client: Http, rng: random.Random) -> None:
        self._hand_in(client, [self._some_job(rng) for _ in range(rng.randint(2, 8))])

    def _hand_in(self, client: Http, jobs: list[Request]) -> None:
        """Submit a batch, each job in the power class that its tuple names."""
        sents = [self._oracle.send(kind, args, Way.BATCH) for kind, args, _ in jobs]
        lines = [{"task": kind, "args": args} | ({"power": power} if power else {}) for kind, args, power in jobs]
        body = b"\n".join(map(msgspec.json.encode, lines))
        status, answer = client.ask("POST", "/v1/jobs/batch", body, {"Content-Type": "application/x-ndjson"})
        if status == 200:
            at = time.monotonic()
            for sent, line in zip(sents, answer.splitlines(), strict=True):
                accepted = msgspec.json.decode(line, type=BatchAnswer)
                if accepted.id:
                    self._note(self._oracle.accepted(sent, accepted.id, at))
            self._reached("accepted")

    def _cancel(self, client: Http, rng: random.Random) -> None:
        candidates = [sent for sent in self._oracle.recent(10) if sent.id and not sent.digest]
        if candidates and rng.random() < 0.5:
            sent = rng.choice(candidates)
            sent.cancelled = True
            client.ask("DELETE", f"/v1/jobs/{sent.id}?if_state=open")

    def _remove(self, client: Http, rng: random.Random) -> None:
        candidates = [sent for sent in self._oracle.recent(300) if sent.digest and not sent.removed]
        if candidates and rng.random() < 0.5:
            sent = rng.choice(candidates)
            sent.removed = True
            status, _ = client.ask("DELETE", f"/v1/jobs/{sent.id}?if_state=final")
            if status == 204:
                self._oracle.gone(sent, time.monotonic())

    def _patient(self, rng: random.Random) -> None:
        """Submit as the only submitter: without other syncs on the board, nothing becomes durable by chance.

        The last job is cancelled while it waits, so its result comes without a message to acknowledge.
        """
        client = Http(self._port)
        while not self._stop.is_set():
            try:
                sents = [self._oracle.send("nap", [rng.randrange(10_000), 0.4], Way.HTTP) for _ in range(3)]
                for sent in sents:
                    self._submit(client, sent, None)
                last = sents[-1]
                if last.accepted_at is not None:
                    last.cancelled = True
                    client.ask("DELETE", f"/v1/jobs/{last.id}?if_state=open")
                    self._look(client, last, wait_s=3.0)
            except (OSError, http.client.HTTPException):
                client.close()
                self._stop.wait(0.05)

    # ---- files ----

    def _upload(self, rng: random.Random) -> None:
        """Upload files in pieces, across cuts and lost connections, and submit a job with each."""
        client = Http(self._port)
        uploader = Uploader(self._parcels, rng, note=self._note, stopped=self._stop.is_set)
        while not self._stop.is_set():
            self._breathe(rng)
            parcel = self._parcels.take(rng)
            try:
                if uploader.upload(client, parcel):
                    self._reached("stored")
                    kind = rng.choice(GIVEN_FILES) if self._programs else "weighed"
                    sent = self._oracle.send(kind, [parcel.number, parcel.size], Way.HTTP)
                    self._submit(client, sent, None)
                    parcel.handed_in = sent.accepted_at is not None
            except LOST:
                client.close()
                self._stop.wait(0.05)
            finally:
                self._parcels.give_back(parcel)

    # ---- bursts ----

    def _bursts(self, rng: random.Random) -> None:
        """Submit bursts of short jobs, each burst in one power class, because each class has its own queue."""
        client = Http(self._port)
        while not self._stop.is_set():
            self._breathe(rng)
            power = rng.choice((None, None, Power.ALWAYS))
            jobs = [(kind, args, power) for kind, args, _ in (short_job(rng) for _ in range(rng.choice(_BURSTS)))]
            if self._programs and rng.random() < 0.5:
                jobs[rng.randrange(len(jobs))] = ("halves", [rng.randrange(10_000)], power)
            try:
                self._hand_in(client, jobs)
            except (OSError, http.client.HTTPException):
                client.close()
                self._stop.wait(0.05)

    # ---- plain Celery ----

    def _celery(self, rng: random.Random) -> None:
        config = self._broker
        app = Celery("submitter", broker=f"amqp://{config.user}:{config.password()}@{config.host}:{config.port}//")
        app.conf.broker_transport_options = {"confirm_publish": True}
        app.conf.task_default_delivery_mode = "persistent"
        while not self._stop.is_set():
            self._breathe(rng)
            kind, args, power = self._kinds(rng)
            if kind == "flaky":  # a plain Celery message has no retries
                continue
            job_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            sent = self._oracle.send(kind, args, Way.CELERY, job_id=job_id)
            klass = power or (Power.SURPLUS if kind == "sunny" else Power.NORMAL)
            # Now and then use the queue of the other pool; its worker runs the job all the same.
            io = (kind == "poll") == (rng.random() < 0.8)
            queue = topology.queue(topology.queue_name(klass, pool=Pool.IO if io else Pool.MAIN))
            try:
                # Now and then send it twice, as a publisher does that lost its confirm.
                for _ in range(rng.choice((1, 1, 1, 2))):
                    app.send_task(
                        kind, args, task_id=job_id, queue=queue, retry=False, mandatory=True, confirm_timeout=TIMEOUT_S
                    )
                    self._note(self._oracle.accepted(sent, job_id, time.monotonic()))
                    self._reached("confirmed")
            except Exception:  # Celery raises many types if the broker dies; this publish then has no receipt
                app.pool.force_close_all()
                self._stop.wait(0.05)
        app.close()

    # ---- waiting for results ----

    def _watch(self, rng: random.Random) -> None:
        client = Http(self._port)
        while not self._stop.is_set():
            candidates = [s for s in self._oracle.recent(15) if s.accepted_at is not None and not s.digest]
            if not candidates:
                self._stop.wait(0.01)
                continue
            sent = rng.choice(candidates)
            try:
                self._look(client, sent, wait_s=1.0)
            except (OSError, http.client.HTTPException):
                client.close()
                self._stop.wait(0.05)

    def _look(self, client: Http, sent: Sent, *, wait_s: float) -> None:
        status, answer = client.ask("GET", f"/v1/jobs/{sent.id}/result?wait={wait_s}")
        if status == 200:
            self._note(self._oracle.seen(sent.id, answer, time.monotonic()))
            self._reached("seen")
        elif status == 404 and sent.way is not Way.CELERY and not sent.removed:
            self._note(f"job {sent.id} was accepted and is unknown")

    def _reached(self, moment: Moment) -> None:
        if self._trap is not None:
            self._trap.reached(moment)

    def _note(self, fault: str) -> None:
        if fault:
            self._faults.append((time.monotonic(), fault))

    def _breathe(self, rng: random.Random) -> None:
        self._stop.wait(rng.expovariate(40.0))
        while not self._stop.is_set() and self._open_jobs() > self._most_open:
            self._stop.wait(0.05)


def short_job(rng: random.Random) -> Request:
    """Return a job that nearly always ends at once; a job that waits makes a worker give its window back."""
    number = rng.randrange(10_000)
    kind = rng.choices(("echo", "files", "nap", "poll", "brood"), weights=(83, 4, 1, 10, 2))[0]
    args: dict[str, list[Any]] = {
        "echo": [number],
        "files": [number, 1],
        "nap": [number, 0.05],
        "poll": [number, 1],
        "brood": [number, 4, 0.0],
    }
    return kind, args[kind], None


def some_job(rng: random.Random) -> Request:
    """Return a job of a random kind; its power class is None for the class of its kind."""
    number = rng.randrange(10_000)
    kind = rng.choices(
        ("echo", "nap", "sunny", "files", "flaky", "steps", "poll", "brood"),
        weights=(60, 12, 8, 12, 2, 2, 12, 6),
    )[0]
    power = rng.choice((None, None, None, Power.ALWAYS)) if kind == "echo" else None
    match kind:
        case "nap":
            return kind, [number, rng.choice((0.02, 0.05, 0.2))], None
        case "files":
            return kind, [number, rng.randint(1, 3)], None
        case "steps":
            return kind, [number, rng.choice((10, 50))], None
        case "poll":
            return kind, [number, rng.choice((1, 3, 20))], None
        case "brood":
            return kind, [number, rng.randint(1, 8), rng.choice((0.0, 0.02))], None
    return kind, [number], power
