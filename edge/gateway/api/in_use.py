"""Notes who uses the board, where it sleeps while nobody does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from edge.gateway.background.sleep import SleepConsent

#: What programs ask again and again, whether or not anybody wants anything.
_NO_USE = frozenset({"/v1/healthz", "/v1/metrics"})


def in_use(sleep: SleepConsent) -> Middleware:
    """A middleware that counts requests; one that is refused counts only while it is answered."""

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
