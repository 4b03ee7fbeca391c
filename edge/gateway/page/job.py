"""Shows one job with its attempts, arguments, result and files. Cancels, removes or repeats it."""

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
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.ledger.rows import JobRow
from edge.model import Attempts, Result, Submission
from edge.results.attempts import AttemptsStore

_CHILDREN = 20
_CHILDREN_PAGE = 100
#: Arguments longer than this are neither decoded nor shown. A longer value is not shown, but can be downloaded.
_SHOWN_BYTES = 64 << 10
_MAX_BYTES = 4096
#: Idempotency key of a form: the same form sent twice makes one job.
_KEY = re.compile(r"[0-9a-f]{32}")


class Story(msgspec.Struct, frozen=True):
    """The data of one job that is in files, not in its row of the ledger."""

    result: Result | None
    damaged: str  # why the result of an ended job cannot be read; empty if it can
    attempts: Attempts | None
    checkpoint_at: float | None  # time of the last checkpoint, in seconds since the epoch


class OneJobView:
    """Handles `/jobs/ID` and the paths below it. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering
        self._attempts = AttemptsStore(appliance.config.layout)
        self._routes = JobRoutes(appliance)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page of the job. Raises UnknownJob, JobGone, StorageError."""
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
        """Return one page of the list of jobs that this job spawned. Raises as `show`, and BadRequest."""
        row = self._row(visit)
        after = visit.query().get("after", "-1")
        if not (after == "-1" or (after.isascii() and after.isdigit() and len(after) < 19)):
            raise BadRequest(f"after {after[:40]!r}: expected the number from the link on the page before")
        page = await self._appliance.children(row, visit.caller, after=int(after), limit=_CHILDREN_PAGE)
        return self._rendering.page(visit, "children.html", parent=row, page=page)

    async def result(self, visit: Visit) -> web.StreamResponse:
        """Return the result file as a download."""
        answer = await self._routes.result(Call(visit.request, visit.caller, read_query(visit.request, WaitQuery)))
        if answer.status == HTTPStatus.OK:
            answer.headers["Content-Disposition"] = f'attachment; filename="{visit.path}.json"'
        return answer

    async def file(self, visit: Visit) -> web.StreamResponse:
        """Return one of the job's output files."""
        return await self._routes.file(Call(visit.request, visit.caller, None))

    async def cancel(self, visit: Visit) -> web.StreamResponse:
        """Cancel the job. Raises as `show`, and Forbidden."""
        row = await self._row_to_end(visit)
        if not row.state.final:  # it may have ended since the page was loaded
            await self._appliance.endings.end(row, if_open=True, if_final=False)
        return redirect(f"/jobs/{row.id}")

    async def remove(self, visit: Visit) -> web.StreamResponse:
        """Remove the job's result and files. Raises as `show`, and Forbidden."""
        row = await self._row_to_end(visit)
        left = await self._appliance.endings.end(row, if_open=False, if_final=True)
        return redirect("/jobs" if left is None else f"/jobs/{row.id}")

    async def again(self, visit: Visit) -> web.StreamResponse:
        """Submit a new job with the same kind, arguments, files and limits."""
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
        return redirect(f"/jobs/{answer.job.id}")

    def _row(self, visit: Visit) -> JobRow:
        """Return the row of the job in the address. Raises UnknownJob, JobGone, StorageError."""
        return self._appliance.job(visit.path, visit.caller)

    async def _row_to_end(self, visit: Visit) -> JobRow:
        """Return the row of a job that the caller may cancel or remove. Raises as `_row`, and Forbidden."""
        row = self._row(visit)
        if not visit.may_end(row.submitter):
            raise Forbidden(f"token {visit.caller.name!r} may cancel or remove only its own jobs")
        await visit.form(max_bytes=_MAX_BYTES)
        return row

    def _known(self, task: str) -> bool:
        kinds = self._appliance.kinds
        return kinds.readable and task in kinds.current.tasks

    def _named(self, row: JobRow, args: list[JsonValue], kwargs: JsonObject) -> list[tuple[str, JsonValue]]:
        """Return the arguments with their names. If the kind is not known, positional arguments get numbers."""
        kinds = self._appliance.kinds
        names = kinds.current.tasks[row.task].positional if self._known(row.task) else ()
        named = [(names[n] if n < len(names) else f"argument {n + 1}", value) for n, value in enumerate(args)]
        return [*named, *kwargs.items()]

    def _story(self, row: JobRow) -> Story:
        """Return the data of the job's files. Reads the disk, so it runs in a thread."""
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
                # On an appliance the gateway may not read the folder of checkpoints. The page then shows none.
                checkpoint_at = (self._appliance.config.layout.checkpoints / f"{row.id}.json").stat().st_mtime
            except (EdgeError, OSError):
                pass
        return Story(result, damaged, attempts, checkpoint_at)


def _arguments(row: JobRow) -> tuple[list[JsonValue], JsonObject]:
    """Return positional and named arguments. Both are empty if they are too long to be shown, or damaged."""
    if len(row.arguments) > _SHOWN_BYTES:
        return [], {}
    try:
        return msgspec.json.decode(row.arguments, type=tuple[list[JsonValue], JsonObject])
    except (ValueError, RecursionError):  # the row of the ledger is damaged
        return [], {}


def _size(value: JsonValue) -> int:
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))
