"""Answers with the last day or month for plots (`/v1/series`), and with the receipts of a month (`/v1/statement`)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.gateway.http.route import JSON, READERS, WATCHERS, Answer, Call, Route
from edge.gateway.series import Span
from edge.gateway.service import Appliance
from edge.model import Statement
from edge.power.energy import statement
from edge.wire import SeriesView

_MONTH = statement.MONTH.pattern
_encode = msgspec.json.Encoder().encode


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far back the series goes."""

    span: Annotated[Span, Meta(description="24h: 96 steps of 15 min; 30d: 240 steps of 3 h")] | UnsetType = UNSET


class StatementQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which month the statement covers."""

    month: (
        Annotated[
            str,
            Meta(
                description="a year and a month, such as 2026-11; without it the present month", pattern=f"^{_MONTH}$"
            ),
        ]
        | UnsetType
    ) = UNSET


class SeriesRoutes:
    """Handles requests for the series and the statement. Runs on the event loop; files are read in threads."""

    def __init__(self, appliance: Appliance) -> None:
        self._series, self._activity, self._layout = appliance.series, appliance.activity, appliance.config.layout

    def table(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                *("GET", "/v1/series", "Power and jobs over the last day or month", self.show, READERS),
                query=SeriesQuery,
                answers=(Answer(HTTPStatus.OK, "Equal steps, oldest first", SeriesView),),
            ),
            Route(
                *(
                    "GET",
                    "/v1/statement",
                    "Energy and time that jobs and the board used in a month",
                    self.statement,
                    WATCHERS,
                ),
                query=StatementQuery,
                answers=(Answer(HTTPStatus.OK, "Sums by day, kind and submitter", Statement),),
            ),
        ]

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer with the series."""
        span = Span.DAY if isinstance(call.query.span, UnsetType) else call.query.span
        return web.Response(body=_encode(await self._series.make(span)), content_type=JSON)

    async def statement(self, call: Call) -> web.StreamResponse:
        """Answer with the receipts of a month."""
        month = statement.this_month() if isinstance(call.query.month, UnsetType) else call.query.month
        made = await asyncio.to_thread(statement.of_month, self._layout, month, newest=self._activity.newest())
        return web.Response(body=_encode(made), content_type=JSON)
