"""The client of a board's gateway: submits jobs, waits for them, fetches their results and files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from edge.client.batch import BatchRefused, batches, checked_key, encoded
from edge.client.download import download
from edge.client.events import EventStream
from edge.client.job import Job
from edge.client.output import output
from edge.client.schedules import Schedules
from edge.client.settings import Settings
from edge.client.transport import Transport, decoded, error_of, path_of
from edge.client.upload import OnBytes, upload
from edge.core.errors import EdgeError, GatewayError, NotAllowed, NotReady, UnknownInput, Unreachable, UsageError
from edge.model import (
    FINAL,
    AfterFailure,
    InputFile,
    JobState,
    Locality,
    Power,
    Result,
    Statement,
    Submission,
    fresh_key,
)
from edge.wire import (
    About,
    BatchAnswer,
    BatchItem,
    ChildPage,
    Event,
    FollowerPage,
    JobPage,
    JobView,
    StatusView,
    TaskList,
    TaskView,
)

#: Length of one long poll, short enough that a router on the way does not drop the silent connection.
_POLL_S = 50.0
#: Events within this time after a change are handled together with it.
_TOGETHER_S = 0.5
#: The sentence that says why a job waits contains times, so it is fetched again when it is this old.
_SENTENCE_AGE_S = 20.0


class Client:
    """Talks to one gateway. Missing settings come from the environment or the client's file (see `Settings.find`).

    Every method raises Unreachable, NotAllowed or another EdgeError, with the gateway's own sentence. Threads may share
    a client.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        settings: Settings | None = None,
        on_retry: Callable[[EdgeError], None] | None = None,
    ) -> None:
        self.settings = Settings.find(url=url, token=token) if settings is None else settings
        self._locality = Locality()
        self._http = Transport(self.settings, on_retry=on_retry)
        #: The periodic jobs of the board: list, get, put, remove, run, pause, resume.
        self.schedules = Schedules(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def submit(
        self,
        task: str,
        /,
        *args: object,
        key: str | None = None,
        power: Power | str | None = None,
        retries: int | None = None,
        time_limit_s: float | None = None,
        deadline_s: float | None = None,
        max_temp_c: float | None = None,
        delay_s: float | None = None,
        not_before: datetime | str | None = None,
        priority: int | None = None,
        unique_key: str | None = None,
        after: Iterable[str | Job] = (),
        after_failure: str | None = None,
        files: Mapping[str, Path | str | InputFile] | None = None,
        **kwargs: object,
    ) -> Job:
        """Submit one job. On return it is durable on the board.

        Args:
            task: the kind of job.
            args: its positional arguments. `{"$result": ID}` as an argument, or inside one, stands for the value that
                the job ID returns.
            key: an idempotency key. A second submit with the same key and body returns the same job, and one with
                another body raises KeyReused. Without a key the client makes one, which protects against a second job
                if the connection is lost after the board accepted the first.
            power: the power class; by default that of the task.
            retries: how many times a failed body may run again.
            time_limit_s: longest running time of the body.
            deadline_s: from this time after the submission a `surplus` job may run at normal power too.
            max_temp_c: the job does not start or continue while the board is hotter.
            delay_s: shortest wait; the board keeps the job until then.
            not_before: earliest time to run, as a datetime with its zone, or as text in the form of RFC 3339.
            priority: 0 to 9, and 5 by default. Of the jobs that may start, those of higher priority start first.
            unique_key: while a job with the same unique key is open, that job is returned and no new one is made.
            after: jobs (or their ids) that must end before this one runs. If one of them does not succeed, this job
                fails.
            after_failure: `"run"` to run this job even if one of `after` does not succeed.
            files: the input files by the names of the inputs. A path is uploaded first; the return value of `upload`
                is used as it is.
            kwargs: its named arguments.
        """
        submission = Submission(
            task,
            list(args),
            kwargs,
            _class(power),
            retries,
            time_limit_s,
            deadline_s,
            max_temp_c,
            delay_s=delay_s,
            not_before=_moment(not_before),
            priority=priority,
            unique_key=unique_key,
            after=tuple(str(getattr(job, "id", job)) for job in after) or None,
            after_failure=_after_failure(after_failure),
            files=self._uploaded(files or {}),
        )
        key = fresh_key(self._locality.prefix()) if key is None else key
        try:
            return self.submit_one(submission, key=key)
        except UnknownInput:  # the board has removed a file since the upload
            again = msgspec.structs.replace(submission, files=self._uploaded(files or {}))
            return self.submit_one(again, key=key)

    def upload(self, path: Path | str, *, name: str | None = None, progress: OnBytes | None = None) -> InputFile:
        """Send an input file for jobs. On return it is durable on the board.

        Content that the board has already is not sent. After a lost connection the upload continues at the last byte
        that the board has saved, even in a later call. The board removes a file that no job uses after a while
        (`gateway.files.keep_s`).

        Args:
            path: the file.
            name: the name of the file for the job; by default the name in `path`.
            progress: called with the number of bytes sent, and the length of the file.

        Raises:
            UsageError: the file does not exist or is too large.
            GatewayError: the board has no room for it.
        """
        return upload(self._http, Path(path), name=name, progress=progress)

    def _uploaded(self, files: Mapping[str, Path | str | InputFile]) -> dict[str, InputFile]:
        return {name: file if isinstance(file, InputFile) else self.upload(file) for name, file in files.items()}

    def submit_one(self, submission: Submission, *, key: str | None = None, only_if_in_time: bool = False) -> Job:
        """Submit one job from its record, for example if a task has an argument with the same name as one of `submit`.

        With `only_if_in_time` a board that makes forecasts refuses the job if it would probably end after its
        `deadline_s`. Then this raises NotInTime.
        """
        key = fresh_key(self._locality.prefix()) if key is None else key
        body = encoded(submission)
        headers = {"Content-Type": "application/json", "Idempotency-Key": checked_key(key)}
        try:
            path = path_of("jobs") + ("?only_if_in_time=true" if only_if_in_time else "")
            view = self._http.json("POST", path, JobView, body=body, headers=headers)
        except Unreachable as err:
            err.add_note(f"the board may have accepted the job; a second submit with the key {key!r} is safe")
            raise
        return Job(self, view)

    def submit_many(self, jobs: Iterable[Submission | BatchItem]) -> list[Job]:
        """Submit many jobs in order, up to 1000 with each durable commit.

        Raises BatchRefused if the board refused some of them. The others are accepted nevertheless.
        """
        accepted: list[Job] = []
        refused: list[tuple[int, EdgeError]] = []
        index = 0
        for items in batches(jobs, self._locality):
            body = b"".join(line for _, line in items)
            headers = {"Content-Type": "application/x-ndjson"}
            answer = self._http.send("POST", path_of("jobs", "batch"), body=body, headers=headers, longer_s=60)
            for (item, _), line in zip(items, answer.data.splitlines(), strict=True):
                outcome = decoded(line, BatchAnswer)
                if outcome.problem is not None:
                    refused.append((index, error_of(outcome.problem)))
                else:
                    accepted.append(Job(self, JobView(outcome.id, item.task, outcome.state or JobState.ACCEPTED)))
                index += 1
        if refused:
            raise BatchRefused(accepted, refused)
        return accepted

    def job(self, job_id: str) -> JobView:
        """Return the state of a job, and why it is in this state."""
        return self._http.json("GET", path_of("jobs", job_id), JobView)

    def children(self, job_id: str) -> Iterator[JobView | str]:
        """Yield the jobs that the body of a job spawned, in order. A job whose result was removed is only an id.

        Pages are fetched when they are needed.
        """
        cursor: str | None = None
        while True:
            query = {"limit": 500, "cursor": cursor}
            page = self._http.json("GET", path_of("jobs", job_id, "children"), ChildPage, query=query)
            yield from page.jobs
            yield from page.removed
            cursor = page.next
            if cursor is None:
                return

    def followers(self, job_id: str) -> Iterator[JobView]:
        """Yield the jobs that run after a job, sorted by id. Pages are fetched when they are needed."""
        cursor: str | None = None
        while True:
            query = {"limit": 500, "cursor": cursor}
            page = self._http.json("GET", path_of("jobs", job_id, "followers"), FollowerPage, query=query)
            yield from page.jobs
            cursor = page.next
            if cursor is None:
                return

    def result(self, job_id: str, *, wait: float | None = None) -> Result:
        """Return the result, after a wait of up to `wait` seconds. Raises NotReady if there is none by then."""
        return self.wait(job_id, timeout=wait or 0.0)

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[JobView], None] | None = None,
        on_outage: Callable[[EdgeError], None] | None = None,
    ) -> Result:
        """Wait for the result and return it. A failed job has a result too.

        After a power cut a board comes back. So once the board has answered, later outages do not end the wait.

        Args:
            job_id: the job.
            timeout: longest wait in seconds; None means without a limit.
            on_progress: called with the job about once a second.
            on_outage: called with the error whenever the board cannot be reached.

        Raises:
            NotReady: there is no result after `timeout`.
        """
        until = None if timeout is None else time.monotonic() + timeout
        answered = tried = False
        while True:
            began = time.monotonic()
            poll = 1.0 if on_progress else _POLL_S
            if until is not None:
                poll = max(0.0, min(poll, until - began))
            try:
                found = self._look(job_id, poll)
            except Unreachable as err:
                if not answered or (until is not None and time.monotonic() >= until):
                    raise
                if on_outage is not None:
                    on_outage(err)
                time.sleep(1)  # if `patience_s` is 0, `send` returned at once
                continue
            answered = True
            if isinstance(found, Result):
                return found
            if on_progress is not None:
                on_progress(found)
            if until is not None and time.monotonic() >= until:
                raise _not_ready(found)
            if not tried and time.monotonic() - began >= poll:
                tried = True
                result = self._wait_for_events(job_id, until, on_progress, on_outage)
                if result is not None:
                    return result
            # A gateway with `gateway.max_wait_s` 0 answers at once: ask again, but not in a busy loop.
            now = time.monotonic()
            if now - began < min(poll, 0.5):
                time.sleep(min(1.0, poll) - (now - began))

    def _look(self, job_id: str, wait_s: float) -> Result | JobView:
        """Return the result after a wait of up to `wait_s`, or the state of the job if there is none by then."""
        answer = self._http.send(
            "GET", path_of("jobs", job_id, "result"), query={"wait": f"{wait_s:.3f}"}, longer_s=wait_s
        )
        if answer.status == 200:
            return decoded(answer.data, Result)
        return decoded(answer.data, JobView)

    def _wait_for_events(
        self,
        job_id: str,
        until: float | None,
        on_progress: Callable[[JobView], None] | None,
        on_outage: Callable[[EdgeError], None] | None,
    ) -> Result | None:
        """Wait for the result by events and return it, or None if the gateway sends none. Raises as `wait` does."""
        if on_progress is None:
            query = {"job": job_id, "state": ",".join(sorted(FINAL))}
        else:  # the reason of a wait may change with power, workers and broker too
            query = {"job": job_id, "about": "job,power,worker,broker"}
        with EventStream(self._http, query, on_outage=on_outage) as stream:
            try:
                stream.open(patience_s=0.0)
            except (GatewayError, NotAllowed, UsageError, Unreachable):
                return None  # an older gateway, or one with too many readers: the caller polls as before
            while True:
                try:
                    found = self._look(job_id, 0)
                except Unreachable as err:
                    if until is not None and time.monotonic() >= until:
                        raise
                    if on_outage is not None:
                        on_outage(err)
                    time.sleep(1)
                    continue
                if isinstance(found, Result):
                    return found
                if on_progress is not None:
                    on_progress(found)
                if until is not None and time.monotonic() >= until:
                    raise _not_ready(found)
                _wait_for_change(stream, until, shown=on_progress is not None)

    def events(
        self,
        *,
        job: str | Iterable[str] | None = None,
        kind: str | Iterable[str] | None = None,
        state: JobState | str | Iterable[JobState | str] | None = None,
        about: About | str | Iterable[About | str] | None = None,
        after: str = "",
        on_outage: Callable[[EdgeError], None] | None = None,
    ) -> Iterator[Event]:
        """Yield changes as they happen, without end.

        A lost connection is opened again, and no event is missing after that. If the gateway no longer has an event, it
        sends an event `reset`: then read the whole state again.

        Args:
            job: only events of this job, or of several.
            kind: only events of jobs of this kind, or of several.
            state: only events of jobs that enter this state, or one of several.
            about: only events about this subject, or about several. By default all of them, but only job events if
                `job`, `kind` or `state` is given.
            after: the `id` of the last known event; the stream continues after it.
            on_outage: called with the error whenever the board cannot be reached.

        Raises:
            GatewayError: the gateway is older than the events. It is raised at once, before the first event.
        """
        query = {"job": _several(job), "kind": _several(kind), "state": _several(state), "about": _several(about)}
        stream = EventStream(self._http, query, after=after, on_outage=on_outage)
        stream.open()
        return _each(stream)

    def event_stream(self, *, on_outage: Callable[[EdgeError], None] | None = None) -> EventStream:
        """Return a stream of all events for a caller with other work: call `open`, then `next(timeout_s)`."""
        return EventStream(self._http, {}, on_outage=on_outage)

    def list(
        self, *, state: JobState | str | None = None, task: str | None = None, limit: int | None = None
    ) -> Iterator[JobView]:
        """Yield jobs, newest first. Pages are fetched when they are needed."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = 100 if left is None else min(left, 100)
            query = {"state": state and str(state), "task": task, "limit": size, "cursor": cursor}
            page = self._http.json("GET", path_of("jobs"), JobPage, query=query)
            yield from page.jobs
            left = None if left is None else left - len(page.jobs)
            cursor = page.next
            if cursor is None:
                return

    def cancel(self, job_id: str) -> JobView:
        """Request that an open job stop. Raises WrongState if it has ended; its result does not change."""
        return self._http.json("DELETE", path_of("jobs", job_id), JobView, query={"if_state": "open"})

    def reprioritise(self, job_id: str, priority: int) -> JobView:
        """Give an open job another priority, 0 to 9. Raises WrongState if it has ended."""
        return self._http.json(
            "PATCH",
            path_of("jobs", job_id),
            JobView,
            body=json.dumps({"priority": priority}).encode(),
            headers={"Content-Type": "application/json"},
        )

    def remove(self, job_id: str) -> None:
        """Remove an ended job with its result and files. Raises WrongState if it is still open."""
        self._http.send("DELETE", path_of("jobs", job_id), query={"if_state": "final"})

    def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch an artifact of the job to `to` (a folder or a path), and return its path.

        The file is complete and checked, or it does not exist. After a lost connection the download continues at the
        same byte. Raises UnknownFile, or OSError from the disk of this machine.
        """
        return download(self._http, self.result(job_id), name, Path(to))

    def output(
        self,
        job_id: str,
        *,
        stream: str = "stdout",
        offset: int = 0,
        follow: bool = False,
        on_gap: Callable[[int], None] | None = None,
        on_cut: Callable[[int], None] | None = None,
    ) -> Iterator[bytes]:
        """Yield the output of a job's program from the byte `offset` on. With `follow`, until the job has ended.

        `stream` is `stdout` or `stderr`. The board keeps the beginning and the end of a long output. `on_gap` is called
        with the number of bytes that are missing between them. `on_cut` is its earlier name, which still works.
        """
        on_missing = on_gap or on_cut or (lambda _bytes: None)
        return output(self._http, job_id, stream=stream, offset=offset, follow=follow, on_missing=on_missing)

    def tasks(self) -> TaskList:
        """Return the kinds of job that the board knows, and the modules that it could not read."""
        return self._http.json("GET", path_of("tasks"), TaskList)

    def task(self, name: str) -> TaskView | None:
        """Return one kind of job, or None if the board does not know it."""
        return next((task for task in self.tasks().tasks if task.name == name), None)

    def status(self) -> StatusView:
        """Return the state of the whole board: power, workers, broker, counts."""
        return self._http.json("GET", path_of("status"), StatusView)

    def statement(self, month: str | None = None) -> Statement:
        """Return the energy that jobs and the board used in a month such as `2026-11`, by default in this month."""
        return self._http.json("GET", path_of("statement"), Statement, query={"month": month})


def _class(power: Power | str | None) -> Power | None:
    try:
        return None if power is None else Power(power)
    except ValueError as err:
        raise UsageError(f"power {power!r}: one of {', '.join(Power)}") from err


def _after_failure(what: str | None) -> AfterFailure | None:
    try:
        return None if what is None else AfterFailure(what)
    except ValueError as err:
        raise UsageError(f"after_failure {what!r}: one of {', '.join(AfterFailure)}") from err


def _moment(at: datetime | str | None) -> str | None:
    if at is None or isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise UsageError(f"not_before {at}: without a time zone it names no moment; give one, or text as in RFC 3339")
    return at.isoformat()


def _several(values: str | Iterable[str] | None) -> str | None:
    if values is None or isinstance(values, str):
        return values
    return ",".join(values) or None


def _each(stream: EventStream) -> Iterator[Event]:
    with stream:
        while True:
            event = stream.next()
            if event is not None:
                yield event


def _not_ready(view: JobView) -> NotReady:
    return NotReady(view.id, f"{view.state}; {view.waiting}" if view.waiting else view.state.value)


def _wait_for_change(stream: EventStream, until: float | None, *, shown: bool) -> None:
    """Wait until the job may have ended or `until` is over. If the job is shown, also until its view may have changed.

    Changes within `_TOGETHER_S` are handled together. The sentence that says why the job waits contains times, so after
    `_SENTENCE_AGE_S` this returns without a change.
    """
    look_at = time.monotonic() + _SENTENCE_AGE_S if shown else None
    while True:
        ends = [at for at in (until, look_at) if at is not None]
        event = stream.next(max(0.0, min(ends) - time.monotonic()) if ends else None)
        if event is None or event.about is About.RESET:
            return
        if event.job is not None and (event.job.state.final or event.job.removed):
            return
        if look_at is not None:
            look_at = min(look_at, time.monotonic() + _TOGETHER_S)
