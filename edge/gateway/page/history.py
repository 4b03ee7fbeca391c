"""Shows plots of the last day or month, each with a table."""

from __future__ import annotations

from aiohttp import web
from markupsafe import Markup

from edge.gateway.http.problems import BadRequest
from edge.gateway.page.plots.history import history
from edge.gateway.page.rendering import Rendering
from edge.gateway.page.visit import Visit
from edge.gateway.series import Span
from edge.gateway.service import Appliance

_NAMES = {Span.DAY: "24 hours", Span.MONTH: "30 days"}


class HistoryView:
    """Shows `/history`. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page with the plots of one span. Raises BadRequest."""
        text = visit.query().get("span", Span.DAY)
        try:
            span = Span(text)
        except ValueError as err:
            raise BadRequest(f"query span = {text[:40]!r}: expected one of {', '.join(Span)}") from err
        series = await self._appliance.series.make(span)
        figures = history(series)
        pictures = {figure.name: Markup(figure.svg) for figure in figures}  # noqa: S704 - made of numbers, escaped
        return self._rendering.page(visit, "history.html", figures=figures, pictures=pictures, span=span, spans=_NAMES)
