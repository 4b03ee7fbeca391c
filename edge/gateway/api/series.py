"""`GET /v1/series`: the last day or month, for plots."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.gateway.http.route import JSON, READERS, Answer, Call, Route
from edge.gateway.series import Span
from edge.gateway.service import Appliance
from edge.wire import SeriesView

_encode = msgspec.json.Encoder().encode


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far back."""

    span: Annotated[Span, Meta(description="24h: 96 steps of 15 min; 30d: 240 steps of 3 h")] | UnsetType = UNSET


class SeriesRoutes:
    """The handler of the series. It runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._series = appliance.series

    def table(self) -> list[Route]:
        """The route."""
        return [
            Route(
                *("GET", "/v1/series", "Power and jobs over the last day or month", self.show, READERS),
                query=SeriesQuery,
                answers=(Answer(HTTPStatus.OK, "Equal steps, oldest first", SeriesView),),
            )
        ]

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer with the series."""
        span = Span.DAY if isinstance(call.query.span, UnsetType) else call.query.span
        return web.Response(body=_encode(await self._series.make(span)), content_type=JSON)
