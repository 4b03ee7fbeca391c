"""One job with its whole story, and what may be done with it."""

from __future__ import annotations

import asyncio
import re
import secrets
from http import HTTPStatus

import msgspec
from aiohttp import web

from edge.core.errors import EdgeError
from edge.core.values import JsonObject, JsonValue
from edge.gateway.api.jobs import JobRoutes, WaitQuery
from edge.gateway.http.problems import BadRequest, Forbidden
from edge.gateway.http.route import Call, read_query
from edge.gateway.page.rendering import Rendering, see
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.ledger.rows import JobRow
from edge.model import Attempts, Result, Submission
from edge.results.attempts import AttemptsStore

_CHILDREN = 20
_CHILDREN_PAGE = 100
#: Arguments and values longer than this are not shown, and not even decoded: they are there to download.
_SHOWN_BYTES = 64 << 10
_MAX_BYTES = 4096
#: Sent with the form, so that the same press of a button makes one job.
_KEY = re.compile(r"[0-9a-f]{32}")


class Story(msgspec.Struct, frozen=True):
    """What is kept of one job beside its row."""

    result: Result | None
    damaged: str  # why there is no result to be shown though it has ended
    attempts: Attempts | None
    checkpoint_at: float | None  # when its progress was saved last


class OneJobView:
    """`/jobs/ID` and below."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering
        self._attempts = AttemptsStore(appliance.config.layout)
        self._routes = JobRoutes(appliance)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Answer with the job."""
        row = self._row(visit)
        view = await self._appliance.view(row)
        story = await asyncio.to_thread(self._story, row)
        children = None
        if view.children:
            children = await self._appliance.children(row, visit.caller, after=-1, limit=_CHILDREN)
        args, kwargs = _arguments(row)
        return self._rendering.page(
            visit,
            "job.html",
            job=view,
            arguments=self._named(row, args, kwargs),
            arguments_bytes=len(row.arguments) if len(row.arguments) > _SHOWN_BYTES else 0,
            story=story,
            large=story.result is not None and _size(story.result.value) > _SHOWN_BYTES,
            children=children.jobs if children else (),
            may_end=visit.may_end(row.submitter),
            removing=row.remove,
            known=self._known(row.task),
            again_key=secrets.token_hex(16),
        )

    async def children(self, visit: Visit) -> web.StreamResponse:
        """Answer with a page of the jobs that this one spawned."""
        row = self._row(visit)
        after = visit.query().get("after", "-1")
        if not (after == "-1" or (after.isascii() and after.isdigit() and len(after) < 19)):
            raise BadRequest(f"after {after[:40]!r}: expected the number that the page before gave")
        page = await self._appliance.children(row, visit.caller, after=int(after), limit=_CHILDREN_PAGE)
        return self._rendering.page(visit, "children.html", parent=row, page=page)

    async def result(self, visit: Visit) -> web.StreamResponse:
        """Answer with the result as it stands in its file."""
        answer = await self._routes.result(Call(visit.request, visit.caller, read_query(visit.request, WaitQuery)))
        if answer.status == HTTPStatus.OK:
            answer.headers["Content-Disposition"] = f'attachment; filename="{visit.path}.json"'
        return answer

    async def file(self, visit: Visit) -> web.StreamResponse:
        """Answer with a file that the job left."""
        return await self._routes.file(Call(visit.request, visit.caller, None))

    async def cancel(self, visit: Visit) -> web.StreamResponse:
        """Ask the job to stop."""
        row = await self._mine(visit)
        if not row.state.final:  # it may have ended while the page was looked at
            await self._appliance.endings.end(row, if_open=True, if_final=False)
        return see(f"/jobs/{row.id}")

    async def remove(self, visit: Visit) -> web.StreamResponse:
        """Remove the job's result and files."""
        row = await self._mine(visit)
        left = await self._appliance.endings.end(row, if_open=False, if_final=True)
        return see("/jobs" if left is None else f"/jobs/{row.id}")

    async def again(self, visit: Visit) -> web.StreamResponse:
        """Hand in the same once more, as a job of its own."""
        row = self._row(visit)
        key = (await visit.form(max_bytes=_MAX_BYTES)).get("key", "")
        args, kwargs = msgspec.json.decode(row.arguments, type=tuple[list[JsonValue], JsonObject])
        submission = Submission(
            row.task,
            args,
            kwargs,
            power=row.power,
            retries=row.retries,
            time_limit_s=row.time_limit_s,
            deadline_s=row.deadline_s,
            max_temp_c=row.max_temp_c,
            files=row.inputs(),
        )
        key = f"again-{row.id[:128]}-{key}" if _KEY.fullmatch(key) else ""
        new = await asyncio.to_thread(self._appliance.drafts.checked, submission, key=key, caller=visit.caller)
        (answer,) = await self._appliance.accept([new])
        if isinstance(answer, EdgeError):
            raise answer
        return see(f"/jobs/{answer.job.id}")

    def _row(self, visit: Visit) -> JobRow:
        """The row of the job in the address. Raises UnknownJob, JobGone, StorageError."""
        return self._appliance.job(visit.path, visit.caller)

    async def _mine(self, visit: Visit) -> JobRow:
        """The same, for a caller who may end it. Raises Forbidden."""
        row = self._row(visit)
        if not visit.may_end(row.submitter):
            raise Forbidden(f"token {visit.caller.name!r} may end only jobs of its own")
        await visit.form(max_bytes=_MAX_BYTES)
        return row

    def _known(self, task: str) -> bool:
        kinds = self._appliance.kinds
        return kinds.readable and task in kinds.current.tasks

    def _named(self, row: JobRow, args: list[JsonValue], kwargs: JsonObject) -> list[tuple[str, JsonValue]]:
        """The arguments with their names, where the kind is known."""
        kinds = self._appliance.kinds
        names = kinds.current.tasks[row.task].positional if self._known(row.task) else ()
        named = [(names[n] if n < len(names) else f"argument {n + 1}", value) for n, value in enumerate(args)]
        return [*named, *kwargs.items()]

    def _story(self, row: JobRow) -> Story:
        """Reads files, in a thread."""
        result, damaged = None, ""
        if row.state.final:
            try:
                result = self._appliance.results.read(row.id)
            except (EdgeError, OSError) as err:
                damaged = str(err)
        attempts = checkpoint_at = None
        if not row.state.final:
            try:
                attempts = self._attempts.read(row.id)
                # On an appliance the gateway may not look there: then nothing is said of it.
                checkpoint_at = (self._appliance.config.layout.checkpoints / f"{row.id}.json").stat().st_mtime
            except (EdgeError, OSError):
                pass
        return Story(result, damaged, attempts, checkpoint_at)


def _arguments(row: JobRow) -> tuple[list[JsonValue], JsonObject]:
    """Arguments by place and by name; none where there are too many bytes of them to be shown."""
    if len(row.arguments) > _SHOWN_BYTES:
        return [], {}
    try:
        return msgspec.json.decode(row.arguments, type=tuple[list[JsonValue], JsonObject])
    except (msgspec.DecodeError, UnicodeDecodeError):  # a damaged row
        return [], {}


def _size(value: JsonValue) -> int:
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))
