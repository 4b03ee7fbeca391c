"""Filters of the job list: reads them from the query of an address, and writes them into one."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import msgspec

from edge.gateway.http.problems import BadRequest
from edge.ledger.search import Wanted
from edge.model import FINAL, JobState

_STORED_OPEN = (JobState.ACCEPTED, JobState.QUEUED, JobState.RETRYING)
#: The choices of the field `state`, in the order in which they are offered.
STATES = ("open", "ended", *JobState)
_LONGEST = 200
_TIMES = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
NAMES = ("state", "kind", "submitter", "text", "since", "until")


class Filters(msgspec.Struct, frozen=True):
    """The filters as they are written in the address. An empty filter leaves no job out."""

    state: str = ""
    kind: str = ""
    submitter: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: dict[str, str]) -> Filters:
        """Read the filters from a query. Other fields of the query are ignored.

        Raises:
            BadRequest: a filter has a bad value. The text names the filter, the value and what is allowed.
        """
        values = {name: query.get(name, "").strip() for name in NAMES}
        for name, value in values.items():
            if len(value) > _LONGEST:
                raise BadRequest(f"{name}: {len(value)} characters; at most {_LONGEST} are taken")
        filters = cls(**values)
        if filters.state and filters.state not in STATES:
            raise BadRequest(f"state {filters.state[:40]!r}: expected one of {', '.join(STATES)}")
        filters.wanted(None)
        return filters

    @property
    def any(self) -> bool:
        """True if at least one filter is set."""
        return any(getattr(self, name) for name in NAMES)

    @property
    def query(self) -> str:
        """The filters as a query, without a question mark."""
        return urlencode({name: value for name in NAMES if (value := getattr(self, name))})

    @property
    def words(self) -> str:
        """The filters as a person reads them, such as `state failed, kind solve`."""
        values = {name: getattr(self, name) for name in NAMES}
        return ", ".join(f"{name} {value}" for name, value in values.items() if value)

    def wanted(self, own_only: str | None) -> Wanted:
        """Return the search that finds these jobs.

        Args:
            own_only: the only submitter whose jobs may be seen; None if the caller may see all jobs.
        """
        return Wanted(
            states=self._stored(),
            task=self.kind,
            submitter=self.submitter or None if own_only is None else own_only,
            text=self.text,
            since=moment("since", self.since) if self.since else None,
            until=moment("until", self.until) if self.until else None,
        )

    def shows(self, state: JobState) -> bool:
        """Return True if the list shows a job that is in this state now.

        The search alone cannot decide this, because the ledger does not store the state `running`.
        """
        if self.state in {"", "open", "ended"}:
            return True
        return state == self.state

    def narrowed(self, *, ended: bool) -> Filters | None:
        """Return these filters limited to ended jobs, or to open jobs. Return None if no such job can match."""
        wanted = {*(FINAL if ended else _STORED_OPEN)}
        if self.state in {"", "open", "ended"}:
            group = "ended" if ended else "open"
            return msgspec.structs.replace(self, state=group) if self.state in {"", group} else None
        state = JobState(self.state)
        return self if state in wanted or (not ended and state is JobState.RUNNING) else None

    def _stored(self) -> tuple[JobState, ...]:
        if self.state == "":
            return ()
        if self.state == "open" or self.state == JobState.RUNNING:
            return _STORED_OPEN
        return tuple(sorted(FINAL)) if self.state == "ended" else (JobState(self.state),)


def moment(name: str, text: str) -> float:
    """Return `text`, a time in the board's time zone, as seconds since the epoch. Raises BadRequest, naming `name`."""
    for form in _TIMES:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    expected = "expected a time of the board's clock, such as 2026-11-28T14:30 or 2026-11-28"
    raise BadRequest(f"{name} {text[:40]!r}: {expected}")
