"""Routes of the page: the URL paths, the scopes that each one needs, and the checks before a handler runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import hdrs, web

from edge.access.tokens import Scope
from edge.gateway.http.auth import Authenticator, Caller
from edge.gateway.http.problems import Forbidden, Unauthenticated
from edge.gateway.http.route import ANYONE, READERS, SUBMITTERS
from edge.gateway.page.sessions import Sessions
from edge.gateway.page.throttle import Throttle
from edge.gateway.page.visit import Visit, check_same_site
from edge.gateway.service import Appliance

if TYPE_CHECKING:
    from edge.gateway.page.site import Site

_Handler: TypeAlias = "Callable[[Site], Callable[[Visit], Awaitable[web.StreamResponse]]]"
_ADMINS = frozenset({Scope.ADMIN})
_GET, _POST = hdrs.METH_GET, hdrs.METH_POST
_NOBODY = Caller("", frozenset())


@dataclass(frozen=True)
class PageRoute:
    """One method on one path, with its handler and the scopes that allow it."""

    method: str
    path: str
    handler: _Handler  # returns the handler of this route from the site
    scopes: frozenset[Scope] = READERS  # the caller needs one of them; empty if no login is needed


_ROUTES = (
    PageRoute(_GET, "/", lambda site: site.board.show),
    PageRoute(_POST, "/pause", lambda site: site.board.pause, _ADMINS),
    PageRoute(_POST, "/resume", lambda site: site.board.resume, _ADMINS),
    PageRoute(_GET, "/jobs", lambda site: site.jobs.show),
    PageRoute(_GET, "/jobs/all", lambda site: site.jobs.ask_all, SUBMITTERS),
    PageRoute(_POST, "/jobs/all", lambda site: site.jobs.end_all, SUBMITTERS),
    PageRoute(_GET, "/jobs/{id}", lambda site: site.job.show),
    PageRoute(_GET, "/jobs/{id}/result", lambda site: site.job.result),
    PageRoute(_GET, "/jobs/{id}/files/{name}", lambda site: site.job.file),
    PageRoute(_GET, "/jobs/{id}/children", lambda site: site.job.children),
    PageRoute(_POST, "/jobs/{id}/cancel", lambda site: site.job.cancel, SUBMITTERS),
    PageRoute(_POST, "/jobs/{id}/remove", lambda site: site.job.remove, SUBMITTERS),
    PageRoute(_POST, "/jobs/{id}/again", lambda site: site.job.again, SUBMITTERS),
    PageRoute(_GET, "/schedules", lambda site: site.schedules.show),
    PageRoute(_GET, "/schedules/{id}", lambda site: site.schedules.one),
    PageRoute(_POST, "/schedules/{id}/run", lambda site: site.schedules.run, SUBMITTERS),
    PageRoute(_POST, "/schedules/{id}/pause", lambda site: site.schedules.pause, SUBMITTERS),
    PageRoute(_POST, "/schedules/{id}/resume", lambda site: site.schedules.resume, SUBMITTERS),
    PageRoute(_POST, "/schedules/{id}/remove", lambda site: site.schedules.remove, SUBMITTERS),
    PageRoute(_GET, "/submit", lambda site: site.submit.choose, SUBMITTERS),
    PageRoute(_GET, "/submit/{id}", lambda site: site.submit.form, SUBMITTERS),
    PageRoute(_POST, "/submit/{id}", lambda site: site.submit.send, SUBMITTERS),
    PageRoute(_GET, "/kinds", lambda site: site.kinds.show),
    PageRoute(_GET, "/doctor", lambda site: site.doctor.show, _ADMINS),
    PageRoute(_POST, "/doctor", lambda site: site.doctor.run, _ADMINS),
    PageRoute(_GET, "/login", lambda site: site.login.form, ANYONE),
    PageRoute(_POST, "/login", lambda site: site.login.enter, ANYONE),
    PageRoute(_POST, "/logout", lambda site: site.login.leave, ANYONE),
    PageRoute(_GET, "/history", lambda site: site.history.show),
    PageRoute(_GET, "/pair", lambda site: site.pairing.show, ANYONE),
    PageRoute(_POST, "/pair", lambda site: site.pairing.ask, ANYONE),
    PageRoute(_GET, "/pair/wait", lambda site: site.pairing.wait, ANYONE),
    PageRoute(_GET, "/pairings", lambda site: site.pairing.list, _ADMINS),
    PageRoute(_POST, "/pairings", lambda site: site.pairing.decide, _ADMINS),
    PageRoute(_GET, "/events", lambda site: site.events),
    PageRoute(_GET, "/assets/{name}", lambda site: site.assets.send, ANYONE),
)


class Page:
    """The page of one board. It needs little memory until the first visit makes the site. Runs on the event loop."""

    def __init__(self, appliance: Appliance, authenticator: Authenticator, config_path: Path | None) -> None:
        self._appliance, self._authenticator, self._config_path = appliance, authenticator, config_path
        config = appliance.config
        self._sessions = Sessions(authenticator, config.layout.page_key, secure=config.gateway.tls_cert is not None)
        self._throttle = Throttle()
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        """All views, made at the first use."""
        if self._site is None:
            # Imported at the first visit: a board without viewers does not pay for jinja2 and the views.
            from edge.gateway.page.site import Site

            self._site = Site(
                self._appliance, self._authenticator, self._sessions, self._throttle, config_path=self._config_path
            )
        return self._site

    def bind(self, router: web.UrlDispatcher) -> None:
        """Add all routes to aiohttp's router."""
        for route in _ROUTES:
            if route.method == _GET:
                router.add_get(route.path, self._handler(route))  # adds HEAD too
            else:
                router.add_route(route.method, route.path, self._handler(route))

    def _handler(self, route: PageRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if route.method == _POST:
                check_same_site(request)
            return await route.handler(self.site)(self.visit(request, route.scopes))

        return handle

    def visit(self, request: web.Request, scopes: frozenset[Scope]) -> Visit:
        """Return the visit of a request: its caller is known by the session cookie, else as on `/v1`.

        Args:
            request: the request.
            scopes: the caller must have one of them; empty if no login is needed.

        Raises:
            Unauthenticated: a login is needed, and the request has no valid cookie or token.
            Forbidden: the caller has none of `scopes`.
            BadTokenFile: the token file cannot be read.
        """
        caller = self._sessions.caller(request)
        by_session = caller is not None
        if caller is None:
            try:
                caller = self._authenticator.caller(request, READERS)
            except (Unauthenticated, Forbidden):
                if scopes:
                    raise
                caller = _NOBODY
        if scopes and not caller.scopes & scopes:
            allowed = " or ".join(sorted(scopes))
            raise Forbidden(f"token {caller.name!r} has scope {', '.join(sorted(caller.scopes))}; this needs {allowed}")
        return Visit(request, caller, by_session)
