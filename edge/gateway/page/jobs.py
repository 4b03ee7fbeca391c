"""Shows the list of jobs, and cancels or removes all jobs that a filter finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from aiohttp import web

from edge.gateway.http.problems import BadRequest
from edge.gateway.page.filters import STATES, Filters
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.gateway.views import Views
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import JobRow
from edge.ledger.search import Found, Wanted
from edge.model import JobState

_PAGE = 50
#: The longest time of one search. After it the page shows what was found and offers to search further back.
_LOOK_S = 0.12
#: The largest number of jobs that one press of a button ends: each open job becomes an order file for the workers.
_AT_ONCE = 5_000
_SAMPLE = 5
_MAX_BYTES = 16_384
_ACTIONS = ("cancel", "remove")


class Chosen(msgspec.Struct, frozen=True):
    """The jobs that an action ends."""

    rows: tuple[JobRow, ...]
    top: int  # the number of each of these jobs in the ledger is below this one
    more: bool  # True if the filter may find further, older jobs


class JobsView:
    """Handles `/jobs` and `/jobs/all`. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return one page of the list. Raises BadRequest."""
        query = visit.query()
        filters, before = Filters.of(query), _cursor(query.get("before", ""))
        wanted = filters.wanted(visit.own_only)
        views = Views(self._appliance.board)
        if filters.state == JobState.RUNNING:
            found = self._running(views, visit, filters)
        else:
            found = await self._look(wanted, before_seq=before, limit=_PAGE, budget_s=_LOOK_S)
            views = Views(self._appliance.board)  # read again: jobs may have started or ended during the search
        jobs = [views.of(row) for row in found.rows if filters.shows(views.state(row))]
        kinds = sorted(self._appliance.kinds.current.tasks) if self._appliance.kinds.readable else []
        return self._rendering.page(
            visit,
            "jobs.html",
            jobs=jobs,
            filters=filters,
            states=STATES,
            kinds=kinds,
            counts=self._appliance.counts() if visit.caller.sees_all else {},
            next_before=found.before_seq,
            complete=found.complete,
            first_page=before is None,
            cancellable=visit.may_submit and filters.narrowed(ended=False) is not None,
            removable=visit.may_submit and filters.narrowed(ended=True) is not None,
        )

    async def ask_all(self, visit: Visit) -> web.StreamResponse:
        """Return a page that shows how many jobs the action would end. It changes nothing. Raises BadRequest."""
        query = visit.query()
        action, filters = _action(query), Filters.of(query)
        chosen = await self._chosen(visit, action, filters, top=None)
        return self._rendering.page(
            visit,
            "all.html",
            action=action,
            filters=filters,
            count=len(chosen.rows),
            more=chosen.more,
            top=chosen.top,
            at_once=_AT_ONCE,
            sample=[Views(self._appliance.board).of(row) for row in chosen.rows[:_SAMPLE]],
        )

    async def end_all(self, visit: Visit) -> web.StreamResponse:
        """Cancel or remove the jobs that the filter finds. Jobs that came after the count are not changed.

        Raises BadRequest.
        """
        fields = await visit.form(max_bytes=_MAX_BYTES)
        action, filters = _action(fields), Filters.of(fields)
        top = _cursor(fields.get("top", ""))
        if top is None:
            raise BadRequest("top: expected the number from the page before")
        chosen = await self._chosen(visit, action, filters, top=top)
        if action == "cancel":
            await self._appliance.endings.cancel_all(chosen.rows)
        else:
            await self._appliance.endings.remove_all(chosen.rows)
        return redirect(f"/jobs?{filters.query}" if filters.any else "/jobs")

    async def _chosen(self, visit: Visit, action: str, filters: Filters, *, top: int | None) -> Chosen:
        narrowed = filters.narrowed(ended=action == "remove")
        if narrowed is None:
            return Chosen((), top or 1, more=False)
        own = None if visit.is_admin else visit.caller.name  # only an admin may end the jobs of others
        wanted = narrowed.wanted(own)
        running = set(Views(self._appliance.board).running_ids())
        found = await self._look(wanted, before_seq=top, limit=_AT_ONCE + 1, budget_s=_LOOK_S)
        rows = [row for row in found.rows if not (row.cancel or row.remove)]
        if filters.state == JobState.RUNNING:
            rows = [row for row in rows if row.id in running]
        elif filters.state in {JobState.QUEUED, JobState.ACCEPTED}:
            rows = [row for row in rows if row.id not in running]
        newest = top or (found.rows[0].seq + 1 if found.rows else 1)
        return Chosen(tuple(rows[:_AT_ONCE]), newest, more=found.before_seq is not None or len(rows) > _AT_ONCE)

    async def _look(self, wanted: Wanted, *, before_seq: int | None, limit: int, budget_s: float) -> Found:
        def look(ledger: LedgerReader) -> Found:
            return ledger.search.find(wanted, before_seq=before_seq, limit=limit, budget_s=budget_s)

        return await self._appliance.outbox.look(look)

    def _running(self, views: Views, visit: Visit, filters: Filters) -> Found:
        """Return the running jobs that the filters match. They are few, and no index of the ledger lists them."""
        rows = [row for row in map(self._appliance.outbox.reader.find, views.running_ids()) if row is not None]
        own = visit.own_only
        tests: list[Callable[[JobRow], bool]] = [lambda row: own in (None, row.submitter)]
        for value, test in ((filters.kind, _is_kind), (filters.submitter, _is_submitter), (filters.text, _has_text)):
            if value:
                tests.append(partial(test, value))
        wanted = filters.wanted(own)
        if wanted.since is not None:
            tests.append(lambda row: row.accepted_at >= (wanted.since or 0.0))
        if wanted.until is not None:
            tests.append(lambda row: row.accepted_at < (wanted.until or 0.0))
        kept = sorted((row for row in rows if all(test(row) for test in tests)), key=lambda row: -row.seq)
        return Found(tuple(kept), None, complete=True)


def _is_kind(value: str, row: JobRow) -> bool:
    return row.task == value


def _is_submitter(value: str, row: JobRow) -> bool:
    return row.submitter == value


def _has_text(value: str, row: JobRow) -> bool:
    in_json = msgspec.json.encode(value).decode()[1:-1].lower()
    text = row.arguments.decode("utf-8", "replace").lower()
    return value.lower() in row.id.lower() or value.lower() in row.message.lower() or in_json in text


def _cursor(text: str) -> int | None:
    """Return `text` as the number of a job in the ledger, or None if it is empty. Raises BadRequest."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19):
        raise BadRequest(f"before {text[:40]!r}: expected the number from the page before")
    return int(text)


def _action(fields: dict[str, str]) -> str:
    action = fields.get("do", "")
    if action not in _ACTIONS:
        raise BadRequest(f"do {action[:40]!r}: expected one of {', '.join(_ACTIONS)}")
    return action
