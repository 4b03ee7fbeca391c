"""Lists and changes the periodic jobs of one gateway."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge.client.batch import checked_key
from edge.client.transport import Transport, path_of
from edge.core.errors import BadSchedule
from edge.model import SCHEDULE_NAME_RULE, Schedule, fresh_key, is_schedule_name
from edge.wire import JobView, SchedulePage, ScheduleView

_JSON = {"Content-Type": "application/json"}


class Schedules:
    """The schedules of a board. Methods raise as those of `Client` do, and UnknownSchedule for an unknown name."""

    def __init__(self, http: Transport) -> None:
        self._http = http

    def list(self) -> Iterator[ScheduleView]:
        """Yield all schedules that the token may read, sorted by name, with their next time and without their slots."""
        cursor: str | None = None
        while True:
            query = {"limit": 500, "cursor": cursor}
            page = self._http.json("GET", path_of("schedules"), SchedulePage, query=query)
            yield from page.schedules
            cursor = page.next
            if cursor is None:
                return

    def get(self, name: str) -> ScheduleView:
        """Return one schedule with its next five times and its last twenty slots."""
        return self._http.json("GET", _path(name), ScheduleView)

    def put(self, name: str, schedule: Schedule) -> ScheduleView:
        """Create a schedule, or replace the schedule of this name. Raises BadSchedule, BadArguments, UnknownTask."""
        return self._http.json("PUT", _path(name), ScheduleView, body=msgspec.json.encode(schedule), headers=_JSON)

    def remove(self, name: str) -> None:
        """Remove a schedule. The jobs that it has made stay."""
        self._http.send("DELETE", _path(name))

    def run(self, name: str, *, key: str | None = None) -> JobView:
        """Make one job from a schedule now, outside its slots. A second call with the same key returns the same job."""
        headers = {**_JSON, "Idempotency-Key": checked_key(key or fresh_key("00"))}
        return self._http.json("POST", f"{_path(name)}/run", JobView, body=b"{}", headers=headers)

    def pause(self, name: str) -> ScheduleView:
        """Pause a schedule. Its slots are skipped until `resume`."""
        return self._http.json("POST", f"{_path(name)}/pause", ScheduleView, body=b"{}", headers=_JSON)

    def resume(self, name: str) -> ScheduleView:
        """End the pause of a schedule. Its slots run again."""
        return self._http.json("POST", f"{_path(name)}/resume", ScheduleView, body=b"{}", headers=_JSON)


def _path(name: str) -> str:
    if not is_schedule_name(name):
        raise BadSchedule(f"schedule {name[:80]!r}: {SCHEDULE_NAME_RULE}")
    return path_of("schedules", name)
