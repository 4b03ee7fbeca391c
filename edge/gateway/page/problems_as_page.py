"""Shows an error to a browser as an HTML page with one sentence. Programs get the problem document unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from edge.gateway.http import problems
from edge.gateway.http.route import ANYONE
from edge.gateway.page.routes import Page
from edge.wire import Problem

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middleware(page: Page) -> Middleware:
    """Return a middleware that goes outside `problems.middleware` and turns its documents into pages.

    It changes only answers to a client that accepts HTML, and none below `/v1`. An unauthenticated GET is redirected
    to the login.
    """

    @web.middleware
    async def as_page(request: web.Request, handler: _Handler) -> web.StreamResponse:
        response = await handler(request)
        if (
            not isinstance(response, web.Response)
            or not isinstance(response.body, bytes)
            or response.content_type != problems.MEDIA_TYPE
            or request.path.startswith("/v1")
            or "text/html" not in request.headers.get(hdrs.ACCEPT, "")
        ):
            return response
        if response.status == HTTPStatus.UNAUTHORIZED and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
            where = "" if request.path == "/" else f"?next={quote(request.path_qs, safe='')}"
            return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: f"/login{where}"})
        problem = msgspec.json.decode(response.body, type=Problem)
        try:
            visit = page.visit(request, ANYONE)
        except Exception:  # the reported error may itself be a token file that cannot be read
            visit = None
        answer = page.site.rendering.problem(visit, problem)
        for name in (hdrs.RETRY_AFTER, hdrs.ALLOW):
            if name in response.headers:
                answer.headers[name] = response.headers[name]
        if response.keep_alive is False:
            answer.force_close()
        return answer

    return as_page
