"""Makes and holds all views of the page, at the first visit."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from edge.gateway.api.events import EventQuery, EventRoutes
from edge.gateway.http.auth import Authenticator
from edge.gateway.http.route import Call, read_query
from edge.gateway.page.assets import Assets
from edge.gateway.page.board import BoardView
from edge.gateway.page.doctor import DoctorView
from edge.gateway.page.history import HistoryView
from edge.gateway.page.job import OneJobView
from edge.gateway.page.jobs import JobsView
from edge.gateway.page.kinds import KindsView
from edge.gateway.page.login import LoginView
from edge.gateway.page.pairing import PairingView
from edge.gateway.page.rendering import Rendering
from edge.gateway.page.schedules import SchedulesView
from edge.gateway.page.sessions import Sessions
from edge.gateway.page.submit import SubmitView
from edge.gateway.page.throttle import Throttle
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance


class Site:
    """Holds the views. Each view has a method for each of its routes. Runs on the event loop."""

    def __init__(
        self,
        appliance: Appliance,
        authenticator: Authenticator,
        sessions: Sessions,
        throttle: Throttle,
        *,
        config_path: Path | None,
    ) -> None:
        self.assets = Assets()
        self.rendering = Rendering(self.assets, appliance)
        self.board = BoardView(appliance, self.rendering, authenticator)
        self.jobs = JobsView(appliance, self.rendering)
        self.job = OneJobView(appliance, self.rendering)
        self.schedules = SchedulesView(appliance, self.rendering)
        self.submit = SubmitView(appliance, self.rendering)
        self.kinds = KindsView(appliance, self.rendering)
        self.doctor = DoctorView(self.rendering, config_path)
        self.login = LoginView(appliance, self.rendering, authenticator, sessions, throttle)
        self.history = HistoryView(appliance, self.rendering)
        self.pairing = PairingView(appliance, self.rendering, sessions)
        self._events = EventRoutes(appliance)

    async def events(self, visit: Visit) -> web.StreamResponse:
        """Return the stream of `GET /v1/events`. The script of the page needs it here, as `/v1` accepts no cookie."""
        return await self._events.stream(Call(visit.request, visit.caller, read_query(visit.request, EventQuery)))
