"""Counts requests as use of the board. A board that may sleep does so only when nobody uses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from edge.gateway.background.sleep import SleepConsent

#: Routes that monitoring programs request all the time. They do not count as use.
_NO_USE = frozenset({"/v1/healthz", "/v1/metrics"})


def in_use(sleep: SleepConsent) -> Middleware:
    """Return a middleware that reports each request to `sleep`. A refused request counts only until it is answered."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path in _NO_USE:
            return await handler(request)
        sleep.began()
        allowed = False
        try:
            answer = await handler(request)
            allowed = answer.status < 400
            return answer
        finally:
            sleep.ended(allowed=allowed)

    return middleware
