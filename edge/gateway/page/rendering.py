"""Renders templates into responses, with the headers that every page has."""

from __future__ import annotations

import gzip
import platform
import time
from http import HTTPStatus
from pathlib import Path

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge import __version__
from edge.gateway.page import texts
from edge.gateway.page.assets import Assets
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.wire import Problem

#: Forbids inline scripts and styles, content from other sites, and frames around the page.
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: with it browsers send `Origin: null`, and a form of this page would look like one of another
    # site.
    "Referrer-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "private, no-cache",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}
_SMALL_BYTES = 1000  # a smaller page is not compressed


class Rendering:
    """Renders templates into pages. Every value is escaped, and no template switches that off for a value."""

    def __init__(self, assets: Assets, appliance: Appliance) -> None:
        self._appliance = appliance
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=texts.printable,
        )
        self._environment.filters.update(texts.FILTERS)
        self._environment.globals.update(asset=assets.url, version=__version__, host=platform.node())

    def page(
        self, visit: Visit | None, template: str, *, status: HTTPStatus = HTTPStatus.OK, **values: object
    ) -> web.Response:
        """Return the page that `template` makes of `values`. `visit` is None if the caller is not known."""
        text = self._environment.get_template(template).render(
            visit=visit, now=time.time(), power=self._appliance.board.verdict(), **values
        )
        content = text.encode("utf-8", "replace")
        headers = dict(_HEADERS)
        if (
            len(content) > _SMALL_BYTES
            and visit is not None
            and "gzip" in visit.request.headers.get(hdrs.ACCEPT_ENCODING, "")
        ):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            content = gzip.compress(content, 5, mtime=0)
        return web.Response(status=status, body=content, content_type="text/html", charset="utf-8", headers=headers)

    def problem(self, visit: Visit | None, problem: Problem) -> web.Response:
        """Return a page with the sentence and the status of `problem`."""
        return self.page(visit, "problem.html", status=HTTPStatus(problem.status), problem=problem)


def redirect(path: str) -> web.Response:
    """Return a redirect to `path` with status 303. After a change it keeps a reload from repeating the change."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: path, hdrs.CACHE_CONTROL: "no-store"})
