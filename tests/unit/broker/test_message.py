"""A job is a message that survives the broker's restart, and tells the worker all that it needs to know."""

from __future__ import annotations

import msgspec

from edge.broker.message import message
from edge.ledger.rows import JobRow
from edge.model import JobState, Power

JOB = JobRow(
    *(7, "job-7", "solve", b'[[1, "a"], {"b": null}]', Power.SURPLUS, 4, 2.5, "anna", b"f", JobState.ACCEPTED, 1.0),
    failures=3,
    max_temp_c=70.0,
)


def test_the_broker_writes_it_to_its_disk() -> None:
    """Delivery mode 2 is persistent."""
    _, _, properties = message(JOB, origin="gateway@board")
    assert properties == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": "job-7",
    }


def test_the_worker_learns_the_jobs_limits_and_its_failures() -> None:
    """Without the count of failures a job that fails would be tried for ever, or an old copy taken for its retry."""
    _, headers, _ = message(JOB, origin="gateway@board")
    assert headers["edge"] == {
        "failures": 3,
        "retries": 4,
        "time_limit_s": 2.5,
        "max_temp_c": 70.0,
        "submitter": "anna",
    }


def test_the_worker_learns_what_files_the_job_is_given() -> None:
    """By their hashes: the head has the content, or the worker itself."""
    job = msgspec.structs.replace(JOB, files=b'{"clip":{"sha256":"%s","name":"a.mov","bytes":7}}' % (b"0" * 64))
    _, headers, _ = message(job, origin="gateway@board")
    edge = headers["edge"]
    assert isinstance(edge, dict)
    assert edge["files"] == {"clip": {"sha256": "0" * 64, "name": "a.mov", "bytes": 7}}


def test_the_call_is_as_celery_has_it() -> None:
    """Protocol 2: plain Celery sends and reads the same."""
    body, headers, _ = message(JOB, origin="gateway@board")
    args, kwargs, _ = msgspec.json.decode(body)
    assert (args, kwargs) == ([1, "a"], {"b": None})
    assert (headers["task"], headers["id"], headers["root_id"], headers["lang"]) == ("solve", "job-7", "job-7", "py")
