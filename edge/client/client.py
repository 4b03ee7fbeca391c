"""The client of a board's gateway: submit jobs, wait for them, fetch what they left."""

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

#: One long poll; short enough that a router between does not forget the connection.
_POLL_S = 50.0
_TOGETHER_S = 0.5
_WORDS_AGE_S = 20.0


class Client:
    """One gateway. Settings not given come from the environment or the client's file (see `Settings.find`).

    Every method raises Unreachable, NotAllowed or another EdgeError with the gateway's own sentence. May be shared by
    threads.
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
        #: Periodic jobs: list, get, put, remove, run, pause, resume.
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
        """Hand over one job; on return it is durable on the board.

        `key` makes two submits one job: the same key and body give the same job again, another body raises KeyReused.
        Without one, a fresh key still guards against a connection lost after the board took the job.

        `delay_s` and `not_before` submit a job for later: the board keeps it until then. A time is a datetime with its
        zone, or text as in RFC 3339. Of the jobs that may start, those of higher `priority` (0 to 9, 5 where none is
        given) go first. While a job with the same `unique_key` is open, that job is the answer.

        The job runs when the jobs `after` (ids, or what `submit` returned) have ended; if one of them does not succeed,
        it fails, or runs all the same with `after_failure="run"`. `{"$result": ID}` as an argument, or within one,
        stands for what that job returns.

        `files` are what the job is given, by the names of its inputs: paths, which are uploaded first, or what `upload`
        returned.
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
        except UnknownInput:  # one has gone since it was there
            again = msgspec.structs.replace(submission, files=self._uploaded(files or {}))
            return self.submit_one(again, key=key)

    def upload(self, path: Path | str, *, name: str | None = None, progress: OnBytes | None = None) -> InputFile:
        """Send a file for jobs; on return it is durable on the board. What the board has already is not sent.

        A lost connection costs nothing: it goes on at the last byte that arrived, also in a later call. `progress` is
        told the bytes that have been sent, and those of the whole file. A file that no job names goes after a while
        (`gateway.files.keep_s`).

        Raises UsageError where there is no such file, or it is too large; GatewayError where there is no room for it.
        """
        return upload(self._http, Path(path), name=name, progress=progress)

    def _uploaded(self, files: Mapping[str, Path | str | InputFile]) -> dict[str, InputFile]:
        return {name: file if isinstance(file, InputFile) else self.upload(file) for name, file in files.items()}

    def submit_one(self, submission: Submission, *, key: str | None = None, only_if_in_time: bool = False) -> Job:
        """As `submit`, for arguments whose names clash with its own.

        With `only_if_in_time` a board that looks ahead raises NotInTime where the job would most likely end after
        its `deadline_s`.
        """
        key = fresh_key(self._locality.prefix()) if key is None else key
        body = encoded(submission)
        headers = {"Content-Type": "application/json", "Idempotency-Key": checked_key(key)}
        try:
            path = path_of("jobs") + ("?only_if_in_time=true" if only_if_in_time else "")
            view = self._http.json("POST", path, JobView, body=body, headers=headers)
        except Unreachable as err:
            err.add_note(f"whether the job was taken is not known; the key {key!r} makes a second submit safe")
            raise
        return Job(self, view)

    def submit_many(self, jobs: Iterable[Submission | BatchItem]) -> list[Job]:
        """Hand over many jobs, up to 1000 with each durable commit, in order.

        Raises BatchRefused when the board refused some; the others are accepted all the same.
        """
        accepted: list[Job] = []
        refused: list[tuple[int, EdgeError]] = []
        index = 0
        for items in batches(jobs, self._locality):
            body = b"".join(line for _, line in items)
            headers = {"Content-Type": "application/x-ndjson"}
            answer = self._http.send("POST", path_of("jobs", "batch"), body=body, headers=headers, longer_s=60)
            for (item, _), line in zip(items, answer.data.splitlines(), strict=True):
                said = decoded(line, BatchAnswer)
                if said.problem is not None:
                    refused.append((index, error_of(said.problem)))
                else:
                    accepted.append(Job(self, JobView(said.id, item.task, said.state or JobState.ACCEPTED)))
                index += 1
        if refused:
            raise BatchRefused(accepted, refused)
        return accepted

    def job(self, job_id: str) -> JobView:
        """Where the job stands, and why."""
        return self._http.json("GET", path_of("jobs", job_id), JobView)

    def children(self, job_id: str) -> Iterator[JobView | str]:
        """The jobs that the body of a job spawned, in its order; of one whose result was removed only its id.

        Pages are fetched as they are needed.
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
        """The jobs that run after a job, by id; pages are fetched as they are needed."""
        cursor: str | None = None
        while True:
            query = {"limit": 500, "cursor": cursor}
            page = self._http.json("GET", path_of("jobs", job_id, "followers"), FollowerPage, query=query)
            yield from page.jobs
            cursor = page.next
            if cursor is None:
                return

    def result(self, job_id: str, *, wait: float | None = None) -> Result:
        """The result, waiting for up to `wait` seconds; raises NotReady when there is none by then."""
        return self.wait(job_id, timeout=wait or 0.0)

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[JobView], None] | None = None,
        on_outage: Callable[[EdgeError], None] | None = None,
    ) -> Result:
        """The result, a failure too, however long it takes; raises NotReady after `timeout` seconds.

        A board whose power was cut comes back: once it has answered, later outages are waited out (and told to
        `on_outage`). `on_progress` gets the job once a second while someone watches.
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
                time.sleep(1)  # with no patience at all, `send` came back at once
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
            # A gateway may be set to hold nobody (`gateway.max_wait_s`): ask it again, but not in a busy loop.
            now = time.monotonic()
            if now - began < min(poll, 0.5):
                time.sleep(min(1.0, poll) - (now - began))

    def _look(self, job_id: str, wait_s: float) -> Result | JobView:
        """The result, waiting for it so long; else how the job stands then."""
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
        """The result, told of by events; None where the gateway gives none. Raises as `wait`."""
        if on_progress is None:
            query = {"job": job_id, "state": ",".join(sorted(FINAL))}
        else:  # why it waits may change with the board, too
            query = {"job": job_id, "about": "job,power,worker,broker"}
        with EventStream(self._http, query, on_outage=on_outage) as stream:
            try:
                stream.open(patience_s=0.0)
            except (GatewayError, NotAllowed, UsageError, Unreachable):
                return None  # an older gateway, or one with too many readers: ask as ever
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
                _until_worth_a_look(stream, until, shown=on_progress is not None)

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
        """Changes as they happen, for as long as they are asked for.

        Each filter takes one value or several; with `job`, `kind` or `state` there are job events only, unless `about`
        says otherwise. A lost connection is made again and nothing is missing then; where something is, an event
        `reset` says so: look at everything anew. `after` is the `id` of the last event that is known.

        Raises GatewayError at once where the gateway is older than its events.
        """
        query = {"job": _several(job), "kind": _several(kind), "state": _several(state), "about": _several(about)}
        stream = EventStream(self._http, query, after=after, on_outage=on_outage)
        stream.open()
        return _each(stream)

    def event_stream(self, *, on_outage: Callable[[EdgeError], None] | None = None) -> EventStream:
        """All events, for whoever has other things to do as well: `open` it, then `next(timeout_s)`."""
        return EventStream(self._http, {}, on_outage=on_outage)

    def list(
        self, *, state: JobState | str | None = None, task: str | None = None, limit: int | None = None
    ) -> Iterator[JobView]:
        """Jobs, newest first; pages are fetched as they are needed."""
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
        """Ask that an open job stop; raises WrongState when it has ended (its result is never touched)."""
        return self._http.json("DELETE", path_of("jobs", job_id), JobView, query={"if_state": "open"})

    def reprioritise(self, job_id: str, priority: int) -> JobView:
        """Give an open job another priority, 0 to 9; raises WrongState when it has ended."""
        return self._http.json(
            "PATCH",
            path_of("jobs", job_id),
            JobView,
            body=json.dumps({"priority": priority}).encode(),
            headers={"Content-Type": "application/json"},
        )

    def remove(self, job_id: str) -> None:
        """Remove an ended job with its result and files; raises WrongState when it is still open."""
        self._http.send("DELETE", path_of("jobs", job_id), query={"if_state": "final"})

    def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch a file the job left to `to` (a folder or a path); complete and checked, or not there at all.

        A lost connection goes on where it broke off. Returns the path; raises UnknownFile, or OSError from this
        side's disk.
        """
        return download(self._http, self.result(job_id), name, Path(to))

    def output(
        self,
        job_id: str,
        *,
        stream: str = "stdout",
        offset: int = 0,
        follow: bool = False,
        on_cut: Callable[[int], None] = lambda _bytes: None,
    ) -> Iterator[bytes]:
        """Yield what the program of a job prints, from the byte `offset` on; with `follow` until the job has ended.

        `stream` is `stdout` or `stderr`. The board keeps the beginning and the end of a long output: `on_cut` is called
        with the number of bytes that are missing at that point.
        """
        return output(self._http, job_id, stream=stream, offset=offset, follow=follow, on_cut=on_cut)

    def tasks(self) -> TaskList:
        """The kinds of job the board knows, and the modules it could not read."""
        return self._http.json("GET", path_of("tasks"), TaskList)

    def task(self, name: str) -> TaskView | None:
        """One kind of job, or None."""
        return next((task for task in self.tasks().tasks if task.name == name), None)

    def status(self) -> StatusView:
        """The board in one look: power, workers, broker, counts."""
        return self._http.json("GET", path_of("status"), StatusView)

    def statement(self, month: str | None = None) -> Statement:
        """What jobs and the board took in a month such as `2026-11`; by default in that of now."""
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


def _until_worth_a_look(stream: EventStream, until: float | None, *, shown: bool) -> None:
    """Return when the job may have ended, or `until` is over; where it is shown to somebody also when it may look new.

    A second's changes are looked at together. The words on why it waits hold times, so they are got anew now and then.
    """
    look_at = time.monotonic() + _WORDS_AGE_S if shown else None
    while True:
        ends = [at for at in (until, look_at) if at is not None]
        event = stream.next(max(0.0, min(ends) - time.monotonic()) if ends else None)
        if event is None or event.about is About.RESET:
            return
        if event.job is not None and (event.job.state.final or event.job.removed):
            return
        if look_at is not None:
            look_at = min(look_at, time.monotonic() + _TOGETHER_S)
