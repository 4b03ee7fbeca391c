"""Turns an error into an RFC 9457 problem document. One table says which status each error has."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from edge.access.pairing import TooManyPairings, UnknownPairing
from edge.access.tokens import BadTokenFile, TokenExists
from edge.core.errors import (
    Asleep,
    BadArguments,
    BadJobId,
    BadSchedule,
    EdgeError,
    JobGone,
    KeyReused,
    NotInTime,
    StorageError,
    TooManyJobs,
    TornResult,
    UnknownFile,
    UnknownInput,
    UnknownJob,
    UnknownSchedule,
    UnknownTask,
    UsageError,
    WrongState,
)
from edge.results.incoming import WrongHash
from edge.wire import Problem, ProblemCode

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("edge.gateway")


class BadRequest(EdgeError, ValueError):
    """The request cannot be read: not JSON, a wrong type, an unknown member, a query out of bounds."""


class BadBody(BadRequest):
    """The body is broken, so that the start of the next request is not known. The answer closes the connection."""


class Unauthenticated(EdgeError, PermissionError):
    """The request has no token, or an unknown one."""


class Forbidden(EdgeError, PermissionError):
    """The scopes of the token do not allow the request."""


class TooLarge(EdgeError, ValueError):
    """The body has more bytes or lines than the configuration allows."""


class TooSlow(EdgeError, TimeoutError):
    """The body did not arrive in time."""


class WrongType(EdgeError, ValueError):
    """The route does not read the Content-Type of the body."""


class Busy(EdgeError, RuntimeError):
    """A limit is reached. The same request may succeed later."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class TooOften(Busy):
    """One address sent too many requests, and must wait."""


#: The first class that fits an error decides. So subclasses stand before their parents.
_TABLE: tuple[tuple[type[BaseException], HTTPStatus, ProblemCode], ...] = (
    (BadRequest, HTTPStatus.BAD_REQUEST, ProblemCode.BAD_REQUEST),
    (BadArguments, HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.BAD_ARGUMENTS),
    (UnknownTask, HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.UNKNOWN_TASK),
    (UnknownInput, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_INPUT),
    (UnknownJob, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_JOB),
    (BadJobId, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_JOB),
    (UnknownFile, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_FILE),
    (UnknownSchedule, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_SCHEDULE),
    (BadSchedule, HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.BAD_SCHEDULE),
    (JobGone, HTTPStatus.GONE, ProblemCode.JOB_GONE),
    (KeyReused, HTTPStatus.CONFLICT, ProblemCode.KEY_REUSED),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, ProblemCode.UNAUTHENTICATED),
    (Forbidden, HTTPStatus.FORBIDDEN, ProblemCode.FORBIDDEN),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemCode.TOO_LARGE),
    (TooSlow, HTTPStatus.REQUEST_TIMEOUT, ProblemCode.BAD_REQUEST),
    (WrongType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemCode.BAD_REQUEST),
    (WrongHash, HTTPStatus.CONFLICT, ProblemCode.WRONG_HASH),
    (UnknownPairing, HTTPStatus.NOT_FOUND, ProblemCode.UNKNOWN_PAIRING),
    (TokenExists, HTTPStatus.CONFLICT, ProblemCode.WRONG_STATE),
    (WrongState, HTTPStatus.CONFLICT, ProblemCode.WRONG_STATE),
    (NotInTime, HTTPStatus.CONFLICT, ProblemCode.NOT_IN_TIME),
    (Asleep, HTTPStatus.SERVICE_UNAVAILABLE, ProblemCode.ASLEEP),
    (TooManyJobs, HTTPStatus.SERVICE_UNAVAILABLE, ProblemCode.BUSY),
    (TooOften, HTTPStatus.TOO_MANY_REQUESTS, ProblemCode.BUSY),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE, ProblemCode.BUSY),
    (TooManyPairings, HTTPStatus.TOO_MANY_REQUESTS, ProblemCode.BUSY),
    (StorageError, HTTPStatus.INSUFFICIENT_STORAGE, ProblemCode.STORAGE),
    (TornResult, HTTPStatus.INTERNAL_SERVER_ERROR, ProblemCode.STORAGE),
    (BadTokenFile, HTTPStatus.SERVICE_UNAVAILABLE, ProblemCode.STORAGE),
    (UsageError, HTTPStatus.BAD_REQUEST, ProblemCode.BAD_REQUEST),
)

_HTTP_CODES = {
    HTTPStatus.NOT_FOUND: ProblemCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: ProblemCode.NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ProblemCode.TOO_LARGE,
    HTTPStatus.UNAUTHORIZED: ProblemCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: ProblemCode.FORBIDDEN,
    HTTPStatus.SERVICE_UNAVAILABLE: ProblemCode.BUSY,
}


def make(status: HTTPStatus, code: ProblemCode, detail: str, *, job_id: str = "") -> Problem:
    """Return a problem. Its title is the phrase of the status, such as `Not Found`."""
    detail = detail.encode("utf-8", "backslashreplace").decode()  # headers of a form may contain any bytes
    return Problem(status.phrase, status.value, detail=detail, type=f"urn:edge:{code}", code=code, job_id=job_id)


def of(err: BaseException) -> Problem:
    """Return the problem for `err`. For an error that is not in the table, it reveals no internals."""
    for kind, status, code in _TABLE:
        if isinstance(err, kind):
            problem = make(status, code, str(err), job_id=str(getattr(err, "job_id", "")))
            if isinstance(err, Asleep):
                return msgspec.structs.replace(problem, awake_at=err.awake_at)
            return problem
    return make(
        HTTPStatus.INTERNAL_SERVER_ERROR, ProblemCode.INTERNAL, "the gateway failed here; its log says where and why"
    )


def of_http(err: web.HTTPException, method: str, path: str) -> Problem:
    """Return the problem for a request that aiohttp itself refuses, such as an unknown path or a wrong method."""
    status = HTTPStatus(err.status)
    if isinstance(err, web.HTTPMethodNotAllowed):
        detail = f"{method} is not allowed for this path; allowed are {', '.join(sorted(err.allowed_methods))}"
    elif status is HTTPStatus.NOT_FOUND:
        detail = f"nothing is at {path[:200]}; GET /v1/openapi.json lists all routes"
    else:
        detail = (err.text or status.description or status.phrase).splitlines()[0][:200]
    fallback = ProblemCode.BAD_REQUEST if err.status < 500 else ProblemCode.INTERNAL
    return make(status, _HTTP_CODES.get(status, fallback), detail)


def response(problem: Problem, err: BaseException | None = None) -> web.Response:
    """Return `problem` as an answer, with the headers that belong to its status. `err` may add Retry-After."""
    headers: dict[str, str] = {}
    if isinstance(err, Busy | TooManyPairings | Asleep):
        headers["Retry-After"] = str(err.retry_after_s)
    elif problem.status in (503, 507):
        headers["Retry-After"] = "30"
    elif problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="edge"'
    elif isinstance(err, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(err.allowed_methods))
    answer = web.Response(
        status=problem.status, body=msgspec.json.encode(problem), content_type=MEDIA_TYPE, headers=headers
    )
    if isinstance(err, BadBody):
        answer.force_close()
    return answer


def outermost(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return a handler for all requests that also turns refusals before the first middleware into problems."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as err:
            return response(of_http(err, request.method, request.path), err)

    return handle


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn each error of a handler into a problem. Unexpected errors are logged here, once."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as err:
        if request.method == "OPTIONS":
            allowed = ", ".join(sorted({*err.allowed_methods, "OPTIONS"}))
            return web.Response(status=204, headers={"Allow": allowed})
        return response(of_http(err, request.method, request.path), err)
    except web.HTTPException as err:
        return response(of_http(err, request.method, request.path), err)
    except ConnectionResetError:
        raise  # the client went away: nobody is left to answer
    except Exception as err:
        problem = of(err)
        if problem.status >= 500 and not isinstance(err, Busy | Asleep):
            log.error("%s %s: %s", request.method, request.path[:200], err, exc_info=problem.code == "internal")
        return response(problem, err)
