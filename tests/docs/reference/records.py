"""Makes the reference of the records that programs read and write: results, submissions, jobs, events."""

from __future__ import annotations

import msgspec

from edge.model import Artifact, Energy, Failure, Result, Submission
from edge.model.power import PowerStatus
from edge.wire import BrokerView, Event, JobChange, JobView, OutputChange, ScheduleChange, WorkerChange
from tests.docs.fields import rows_of_record
from tests.docs.generated import table

_HEADING = ("member", "type", "meaning")


def _record(kind: type[msgspec.Struct]) -> str:
    text = " ".join((kind.__doc__ or "").split())
    return f"### {kind.__name__}\n\n{text}\n\n{table(_HEADING, rows_of_record(kind))}\n"


def result() -> str:
    """Return the members of the payload of a result file."""
    return table(_HEADING, rows_of_record(Result))


def result_parts() -> str:
    """Return the records inside a result."""
    return "".join(_record(kind) for kind in (Failure, Artifact, Energy))


def submission() -> str:
    """Return the members of the body of `POST /v1/jobs`."""
    return table(_HEADING, rows_of_record(Submission))


def job_view() -> str:
    """Return the members of the answer to `GET /v1/jobs/ID`."""
    return table(_HEADING, rows_of_record(JobView))


def events() -> str:
    """Return the members of an event, and of the records that it carries."""
    return "".join(
        _record(kind)
        for kind in (Event, JobChange, PowerStatus, WorkerChange, BrokerView, ScheduleChange, OutputChange)
    )
