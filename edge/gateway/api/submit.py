"""Accepts jobs: `POST /v1/jobs` and `POST /v1/jobs/batch`. Jobs are checked and committed before the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.core.errors import EdgeError, expect_type
from edge.gateway.api.form import is_form, submission_of
from edge.gateway.api.references import Line, linked
from edge.gateway.http import bodies, problems
from edge.gateway.http.problems import BadRequest, Busy, TooLarge
from edge.gateway.http.route import JSON, NDJSON, Call, proceed
from edge.gateway.service import Appliance
from edge.gateway.views import Views
from edge.ledger.rows import Accepted, NewJob
from edge.model import Submission
from edge.schedule.arguments import results_in
from edge.wire import KEY_RULE, BatchAnswer, BatchItem, StartInterval, is_key

JOB_MEDIA = (JSON,)
BATCH_MEDIA = (NDJSON, "application/ndjson", "application/jsonl")
_JOB_S, _BATCH_S = 30.0, 300.0
#: A larger body is checked in a thread: half a million numbers take seconds, on a Pi Zero half a minute.
_SMALL_BYTES = 4096
_LINES = 200  # lines of a batch that are checked in one call of a thread
#: Answers to new jobs within this time share one snapshot of the board. A snapshot costs a sixth of a submit.
_SAME_BOARD_S = 0.05
#: Largest number of full-size batches that are in memory at once. A decoded batch takes several times its bytes.
_BATCHES = 2

_encode = msgspec.json.Encoder().encode


class SubmitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions under which the client wants the job to be accepted."""

    only_if_in_time: (
        Annotated[
            bool,
            Meta(
                description="refuse with 409 a job that most likely ends after `deadline_s`; only if the board looks"
                " ahead"
            ),
        ]
        | UnsetType
    ) = UNSET


class SubmitRoutes:
    """Handles the requests that submit jobs. Runs on the event loop; large bodies are checked in threads."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance, self._limits = appliance, appliance.config.gateway
        self._free_bytes = _BATCHES * self._limits.max_batch_bytes
        self._views: Views | None = None
        self._looked_at = 0.0

    async def one(self, call: Call) -> web.StreamResponse:
        """Accept one job. Answer 202 if it is new, 200 if its idempotency key has made it before."""
        key = idempotency_key(call.request)
        limit = self._limits.max_body_bytes
        if is_form(call.request):
            asked = await submission_of(self._appliance, call.caller, call.request, max_bytes=limit)
            content = msgspec.json.encode(asked)
        else:
            await proceed(call.request)
            content = await bodies.read(call.request, JOB_MEDIA, max_bytes=limit, max_s=_JOB_S)

        def checked() -> NewJob:
            submission = bodies.decode(content, Submission)
            return self._appliance.drafts.checked(
                submission, key=key, caller=call.caller, results=_results(content, submission)
            )

        new = checked() if len(content) <= _SMALL_BYTES else await asyncio.to_thread(checked)
        if call.query.only_if_in_time is True:
            self._appliance.board.starts.check(new)
        (answer,) = await self._appliance.accept([new])
        if isinstance(answer, EdgeError):
            raise answer
        views = self._recent_views() if answer.created else Views(self._appliance.board)
        starts = self._appliance.board.starts.note(answer.job) if answer.created else None
        return web.Response(
            status=HTTPStatus.ACCEPTED if answer.created else HTTPStatus.OK,
            body=_encode(views.of(answer.job, starts=starts)),
            content_type=JSON,
            headers={"Location": f"/v1/jobs/{answer.job.id}", **self._retry_after()},
        )

    def _retry_after(self) -> dict[str, str]:
        """Return a Retry-After header with the end of the sleep, if the board is about to sleep."""
        sleep = self._appliance.sleep
        away_s = None if sleep is None else sleep.away_s
        return {} if away_s is None else {"Retry-After": str(away_s)}

    def _recent_views(self) -> Views:
        """Return a snapshot of the board that may be a moment old.

        Only for new jobs. For an older job it could show a state that is no longer true.
        """
        now = time.monotonic()
        if self._views is None or now - self._looked_at > _SAME_BOARD_S:
            self._views, self._looked_at = Views(self._appliance.board), now
        return self._views

    async def batch(self, call: Call) -> web.StreamResponse:
        """Accept a batch with one job a line. All good lines share one durable commit; each line gets an answer."""
        with self._reserved(min(call.request.content_length or self._free_bytes, self._limits.max_batch_bytes)):
            return await self._batch(call)

    @contextmanager
    def _reserved(self, size: int) -> Iterator[None]:
        """Reserve memory for a batch of `size` bytes. Raises Busy, because many at once do not fit into 512 MB."""
        if size > self._free_bytes:
            raise Busy("other batches are being taken; send this one again", retry_after_s=2)
        self._free_bytes -= size
        try:
            yield
        finally:
            self._free_bytes += size

    async def _batch(self, call: Call) -> web.StreamResponse:
        content = await bodies.read(call.request, BATCH_MEDIA, max_bytes=self._limits.max_batch_bytes, max_s=_BATCH_S)
        if b"{" not in content:
            raise BadRequest("the body has no job; send one JSON object a line")
        lines = content.removesuffix(b"\n").split(b"\n")
        if len(lines) > self._limits.max_batch_jobs:
            raise TooLarge(f"the body has {len(lines)} lines; at most {self._limits.max_batch_jobs} are taken")
        checked, refs = list[Line](), list[str]()
        for first in range(0, len(lines), _LINES):
            for job, ref in await asyncio.to_thread(self._look, lines[first : first + _LINES], call):
                checked.append(job)
                refs.append(ref)
        checked, order = await asyncio.to_thread(linked, checked, refs)
        jobs = [job for job in map(checked.__getitem__, order) if isinstance(job, NewJob)]
        accepted = dict(zip(order, await self._appliance.accept(jobs) if jobs else (), strict=True))
        answers = (accepted.get(number) or _refused(job) for number, job in enumerate(checked))
        new = [answer.job for answer in accepted.values() if not isinstance(answer, EdgeError) and answer.created]
        starts = self._appliance.board.starts.note_batch(new)
        lines_out = (_batch_answer(number, answer, starts) for number, answer in enumerate(answers, 1))
        return web.Response(body=b"".join(_encode(answer) + b"\n" for answer in lines_out), content_type=NDJSON)

    def _look(self, lines: list[bytes], call: Call) -> list[tuple[Line, str]]:
        """Return the job of each line, or its error, and the name of the line in the batch. Runs in a thread."""
        found: list[tuple[Line, str]] = []
        for line in lines:
            ref = ""
            try:
                item = self._item(line)
                ref = item.ref or ""  # a refused line keeps its name, because other lines may refer to it
                found.append((self._checked(line, item, call), ref))
            except EdgeError as err:
                found.append((err, ref))
        return found

    def _item(self, line: bytes) -> BatchItem:
        limit = self._limits.max_body_bytes
        if len(line) > limit:
            raise TooLarge(f"the line has {len(line)} bytes; a job may have at most {limit}")
        return bodies.decode(line, BatchItem)

    def _checked(self, line: bytes, item: BatchItem, call: Call) -> NewJob:
        submission = Submission(**{name: getattr(item, name) for name in Submission.__struct_fields__})
        key = "" if item.key is None else _checked_key("key", item.key)
        results = _results(line, submission)
        return self._appliance.drafts.checked(submission, key=key, caller=call.caller, results=results)


def _results(content: bytes, submission: Submission) -> list[str]:
    """Return the ids of the jobs that the arguments refer to for their results. Almost no body has one."""
    if b"$result" not in content and b"u0024" not in content:
        return []
    return list(dict.fromkeys(results_in([submission.args, submission.kwargs])))


def _refused(line: Line) -> EdgeError:
    return expect_type(line, EdgeError, "a line of a batch that was not accepted")


def idempotency_key(request: web.Request) -> str:
    """Return the Idempotency-Key header, or an empty text if there is none. Raises BadRequest."""
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return ""
    if len(given) > 1:
        raise BadRequest("Idempotency-Key is given twice")
    return _checked_key("Idempotency-Key", given[0])


def _checked_key(name: str, key: str) -> str:
    """Return `key` if it is valid. `name` is the header or member that holds it. Raises BadRequest."""
    if not is_key(key):
        raise BadRequest(f"{name} {key[:80]!r}: {KEY_RULE}")
    return key


def _batch_answer(number: int, answer: Accepted | EdgeError, starts: dict[str, StartInterval]) -> BatchAnswer:
    if isinstance(answer, EdgeError):
        return BatchAnswer(number, problem=problems.of(answer))
    return BatchAnswer(number, id=answer.job.id, state=answer.job.state, starts=starts.get(answer.job.id))
