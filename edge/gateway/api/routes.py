"""Lists every route of `/v1`: its address, the scopes that may use it, its input and its answers."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

from edge.catalog.catalogue import Catalogue
from edge.gateway.api.about import BoardRoutes
from edge.gateway.api.events import ID_SCHEMA, LAST_EVENT_ID, EventQuery, EventRoutes
from edge.gateway.api.files import FileRoutes
from edge.gateway.api.jobs import ChildQuery, EndQuery, FollowerQuery, JobRoutes, ListQuery, WaitQuery
from edge.gateway.api.nodes import AttemptQuery, NodeRoutes, PrintedQuery
from edge.gateway.api.output import OutputQuery, OutputRoutes
from edge.gateway.api.pairing import PairRoutes
from edge.gateway.api.schedules import Nothing, ScheduleQuery, ScheduleRoutes
from edge.gateway.api.series import SeriesRoutes
from edge.gateway.api.submit import BATCH_MEDIA, JOB_MEDIA, SubmitQuery, SubmitRoutes
from edge.gateway.http import openapi
from edge.gateway.http.route import (
    ANYONE,
    EVENT_STREAM,
    JSON,
    NDJSON,
    NODES,
    OCTETS,
    READERS,
    SUBMITTERS,
    WATCHERS,
    Answer,
    Body,
    Call,
    Header,
    Route,
)
from edge.gateway.service import Appliance
from edge.model import Attempts, HeadBacklog, NodeAway, Result, Schedule, SpawnedJobs, Submission
from edge.wire import (
    BatchItem,
    ChildPage,
    Event,
    FollowerPage,
    HealthView,
    JobPage,
    JobPatch,
    JobView,
    Key,
    SchedulePage,
    ScheduleView,
    StatusView,
    TaskList,
)

_MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_KEY = Header(
    "Idempotency-Key",
    msgspec.json.schema(Key),
    "The same key with the same body gives the same job again (200), with another body 409. Keys belong to the token's"
    " name.",
)
_RESUME = Header(
    LAST_EVENT_ID,
    ID_SCHEMA,
    "The id of the last event that was read. The stream continues after it, or begins with `reset` if events are"
    " missing.",
)


def table(appliance: Appliance) -> list[Route]:
    """Return the routes of `appliance`, in the order in which the documents list them. Raises StorageError."""
    submit, jobs, about, nodes = (
        SubmitRoutes(appliance),
        JobRoutes(appliance),
        BoardRoutes(appliance),
        NodeRoutes(appliance),
    )
    routes = [
        Route(
            *("POST", "/v1/jobs", "Hand in a job", submit.one, SUBMITTERS),
            query=SubmitQuery,
            headers=(_KEY,),
            body=Body(
                Submission,
                JOB_MEDIA,
                "The task and its arguments. As multipart/form-data a job comes with its files: the field `job` holds"
                " it as JSON (or each member is a separate field), and each file is a part with the name of its input.",
            ),
            waits=True,
            answers=(
                Answer(HTTPStatus.ACCEPTED, "Kept from now on", JobView, headers={"Location": "the job"}),
                Answer(HTTPStatus.OK, "The job that this key made before", JobView, headers={"Location": "the job"}),
            ),
            problems=(
                HTTPStatus.NOT_FOUND,
                HTTPStatus.CONFLICT,
                HTTPStatus.GONE,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                HTTPStatus.INSUFFICIENT_STORAGE,
            ),
        ),
        Route(
            *("POST", "/v1/jobs/batch", "Hand in many jobs at once", submit.batch, SUBMITTERS),
            body=Body(
                BatchItem,
                BATCH_MEDIA,
                "One BatchItem (JSON) a line; `key` is the idempotency key of the line. All good lines share one "
                "durable commit. A bad line does not affect the other lines.",
            ),
            answers=(Answer(HTTPStatus.OK, "One BatchAnswer (JSON) a line, in order", media=NDJSON),),
            problems=(HTTPStatus.INSUFFICIENT_STORAGE,),
        ),
        Route(
            *("GET", "/v1/jobs", "List jobs, newest first", jobs.list, READERS),
            query=ListQuery,
            answers=(
                Answer(HTTPStatus.OK, "A page; with scope `submit` alone, only jobs of the token's name", JobPage),
            ),
        ),
        Route(
            *("GET", "/v1/jobs/{id}", "Show the state of a job, and why it waits", jobs.show, READERS | NODES),
            answers=(Answer(HTTPStatus.OK, "The job", JobView),),
            problems=_MISSING,
        ),
        Route(
            *("GET", "/v1/jobs/{id}/children", "The jobs that a job spawned, in its order", jobs.children, READERS),
            query=ChildQuery,
            answers=(Answer(HTTPStatus.OK, "A page; each job with the number of its children", ChildPage),),
            problems=_MISSING,
        ),
        Route(
            *("GET", "/v1/jobs/{id}/followers", "The jobs that run after a job, sorted by id", jobs.followers, READERS),
            query=FollowerQuery,
            answers=(Answer(HTTPStatus.OK, "A page; each job with what it runs after", FollowerPage),),
            problems=_MISSING,
        ),
        Route(
            *("PATCH", "/v1/jobs/{id}", "Give an open job another priority", jobs.change, SUBMITTERS),
            body=Body(
                JobPatch, JOB_MEDIA, "The new priority. A job that the broker already has keeps its place there."
            ),
            answers=(Answer(HTTPStatus.OK, "The present state of the job", JobView),),
            problems=(*_MISSING, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *("DELETE", "/v1/jobs/{id}", "Cancel an open job, or remove an ended one", jobs.end, SUBMITTERS),
            query=EndQuery,
            answers=(
                Answer(HTTPStatus.ACCEPTED, "Requested; the present state of the job", JobView),
                Answer(HTTPStatus.NO_CONTENT, "Removed"),
            ),
            problems=(*_MISSING, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *("GET", "/v1/jobs/{id}/result", "Fetch the result, or wait for it", jobs.result, READERS),
            query=WaitQuery,
            answers=(
                Answer(HTTPStatus.OK, "The result, a failure too", Result, headers={"ETag": "SHA-256 of the body"}),
                Answer(HTTPStatus.ACCEPTED, "There is no result yet; the present state of the job", JobView),
                Answer(HTTPStatus.NOT_MODIFIED, "You have this version (If-None-Match)"),
            ),
            problems=_MISSING,
        ),
        Route(
            *("GET", "/v1/jobs/{id}/files/{name}", "A file the job left", jobs.file, READERS),
            answers=(
                Answer(HTTPStatus.OK, "The file", media="*/*", headers={"ETag": "SHA-256 of the file"}),
                Answer(HTTPStatus.PARTIAL_CONTENT, "The range asked for", media="*/*"),
                Answer(HTTPStatus.NOT_MODIFIED, "You have this version (If-None-Match)"),
            ),
            problems=(*_MISSING, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
        ),
        Route(
            *("GET", "/v1/jobs/{id}/output", "What the program of a job prints", OutputRoutes(appliance).show, READERS),
            query=OutputQuery,
            answers=(
                Answer(
                    HTTPStatus.OK,
                    "The bytes from `offset` on, as far as they are kept without a gap. `Edge-Offset` is the offset of "
                    "the first one. If bytes are missing after them, `Edge-Next` is the next offset. With `follow` the "
                    "answer grows until the job has ended, or for gateway.max_wait_s.",
                    media="text/plain",
                    headers={"Edge-Offset": "offset of the first byte"},
                    sometimes={"Edge-Next": "offset after the cut"},
                ),
            ),
            problems=_MISSING,
        ),
        Route(
            *("PUT", "/v1/jobs/{id}/files/{name}", "Hand in a file of a result, before the result", nodes.file, NODES),
            query=AttemptQuery,
            body=Body(bytes, (OCTETS,), "The file."),
            answers=(Answer(HTTPStatus.NO_CONTENT, "Accepted; it becomes durable together with the result"),),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *("PUT", "/v1/jobs/{id}/result", "Hand in a result", nodes.result, NODES),
            query=AttemptQuery,
            body=Body(Result, JOB_MEDIA, "The result as its worker made it. Its files must be sent before it."),
            answers=(Answer(HTTPStatus.NO_CONTENT, "The job has its one durable result: this one, or an earlier one"),),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *("PUT", "/v1/jobs/{id}/attempts", "Report a failed attempt with retries left", nodes.attempts, NODES),
            body=Body(Attempts, JOB_MEDIA, "What happened to the job so far."),
            answers=(Answer(HTTPStatus.NO_CONTENT, "Durable: the job is published again when its wait is over"),),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *("PUT", "/v1/jobs/{id}/output", "Hand in what a running program prints", nodes.output, NODES),
            query=PrintedQuery,
            body=Body(bytes, (OCTETS,), "The bytes that the program has printed, 256 KiB at most."),
            answers=(
                Answer(
                    HTTPStatus.NO_CONTENT,
                    "Shown to readers until the attempt ends. The next part may come after `Edge-Pause` seconds.",
                    headers={"Edge-Pause": "seconds until the next part"},
                ),
            ),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
        ),
        Route(
            *("PUT", "/v1/jobs/{id}/spawned", "Hand in jobs that the body of a job spawned", nodes.spawned, NODES),
            body=Body(
                SpawnedJobs, JOB_MEDIA, "The jobs. The id of each is made from the parent's id and its key or call."
            ),
            answers=(Answer(HTTPStatus.NO_CONTENT, "Kept from now on; jobs that were kept before do not change"),),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        *FileRoutes(appliance).table(),
        Route(
            *("GET", "/v1/backlog", "How many open jobs of each kind there are", nodes.backlog, NODES),
            answers=(
                Answer(HTTPStatus.OK, "Open jobs by kind and power class, with the cost of such a job", HeadBacklog),
            ),
        ),
        Route(
            *("PUT", "/v1/away", "Report that this node goes to sleep", nodes.away, NODES),
            body=Body(NodeAway, JOB_MEDIA, "When it is awake again."),
            answers=(Answer(HTTPStatus.NO_CONTENT, "Kept: `GET /v1/status` shows it until the node is back"),),
        ),
        *_schedule_routes(ScheduleRoutes(appliance)),
        Route(
            *("GET", "/v1/tasks", "List the kinds of job", about.tasks, READERS),
            answers=(Answer(HTTPStatus.OK, "The kinds of job", TaskList),),
        ),
        Route(
            *("GET", "/v1/status", "The board in one look", about.status, READERS),
            answers=(Answer(HTTPStatus.OK, "Power, workers, broker, counts", StatusView),),
        ),
        Route(
            *("GET", "/v1/events", "Changes as they happen", EventRoutes(appliance).stream, READERS),
            query=EventQuery,
            headers=(_RESUME,),
            answers=(
                Answer(
                    HTTPStatus.OK,
                    "Server-sent events; the `data` of each is an Event (JSON). With scope `submit` alone, only jobs of"
                    " the token's name. The stream ends after gateway.max_wait_s: reconnect with Last-Event-ID.",
                    Event,
                    media=EVENT_STREAM,
                ),
            ),
            problems=(HTTPStatus.INSUFFICIENT_STORAGE,),
        ),
        *SeriesRoutes(appliance).table(),
        *PairRoutes(appliance).table(),
        Route(
            *("GET", "/v1/healthz", "Check whether jobs can be accepted", about.healthz, ANYONE),
            answers=(
                Answer(HTTPStatus.OK, "They can", HealthView),
                Answer(HTTPStatus.SERVICE_UNAVAILABLE, "They cannot, and why", HealthView),
            ),
        ),
        Route(
            *("GET", "/v1/metrics", "Metrics in Prometheus' text format", about.metrics, WATCHERS),
            answers=(Answer(HTTPStatus.OK, "The metrics now", media="text/plain"),),
        ),
    ]
    return [*routes, _document_route(routes, appliance)]


def _schedule_routes(schedules: ScheduleRoutes) -> list[Route]:
    """Return the routes of periodic jobs."""
    missing = (HTTPStatus.NOT_FOUND,)
    refused = (*missing, HTTPStatus.INSUFFICIENT_STORAGE)
    nothing = Body(Nothing, JOB_MEDIA, "An empty object: {}.", required=False)
    return [
        Route(
            *("GET", "/v1/schedules", "List periodic jobs, sorted by name", schedules.list, READERS),
            query=ScheduleQuery,
            answers=(
                Answer(
                    HTTPStatus.OK, "A page; with scope `submit` alone, only schedules of the token's name", SchedulePage
                ),
            ),
        ),
        Route(
            *("PUT", "/v1/schedules/{schedule}", "Make or change a periodic job", schedules.put, SUBMITTERS),
            body=Body(
                Schedule, JOB_MEDIA, "The job, its times (`cron` or `every_s`), and what to do when it cannot run."
            ),
            answers=(
                Answer(HTTPStatus.CREATED, "Kept from now on", ScheduleView),
                Answer(HTTPStatus.OK, "It replaces the earlier schedule of this name", ScheduleView),
            ),
            problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INSUFFICIENT_STORAGE),
        ),
        Route(
            *(
                "GET",
                "/v1/schedules/{schedule}",
                "Next times and last slots of a periodic job",
                schedules.show,
                READERS,
            ),
            answers=(Answer(HTTPStatus.OK, "The schedule", ScheduleView),),
            problems=missing,
        ),
        Route(
            *("DELETE", "/v1/schedules/{schedule}", "Remove a periodic job", schedules.remove, SUBMITTERS),
            answers=(Answer(HTTPStatus.NO_CONTENT, "Removed; the jobs that it has made stay"),),
            problems=refused,
        ),
        Route(
            *("POST", "/v1/schedules/{schedule}/run", "Run a periodic job now", schedules.run, SUBMITTERS),
            headers=(_KEY,),
            body=nothing,
            answers=(
                Answer(HTTPStatus.ACCEPTED, "Its job, kept from now on", JobView, headers={"Location": "the job"}),
                Answer(HTTPStatus.OK, "The job that this key made before", JobView, headers={"Location": "the job"}),
            ),
            problems=(*refused, HTTPStatus.CONFLICT, HTTPStatus.GONE),
        ),
        Route(
            *("POST", "/v1/schedules/{schedule}/pause", "Pause a periodic job", schedules.pause, SUBMITTERS),
            body=nothing,
            answers=(Answer(HTTPStatus.OK, "The present state of the schedule", ScheduleView),),
            problems=refused,
        ),
        Route(
            *("POST", "/v1/schedules/{schedule}/resume", "Resume a periodic job", schedules.resume, SUBMITTERS),
            body=nothing,
            answers=(Answer(HTTPStatus.OK, "The present state of the schedule", ScheduleView),),
            problems=refused,
        ),
    ]


def _document_route(routes: list[Route], appliance: Appliance) -> Route:
    """Return the route of the OpenAPI document, which is made again when the catalogue changes."""
    made: tuple[Catalogue | None, bytes] | None = None

    async def show(_call: Call) -> web.StreamResponse:
        nonlocal made
        catalogue = appliance.kinds.current if appliance.kinds.readable else None
        if made is None or made[0] is not catalogue:
            made = (catalogue, msgspec.json.encode(openapi.document([*routes, route], catalogue)))
        return web.Response(body=made[1], content_type=JSON)

    route = Route(
        *("GET", "/v1/openapi.json", "This document", show, ANYONE),
        answers=(Answer(HTTPStatus.OK, "OpenAPI 3.1", dict),),
    )
    return route
