"""The message of a job survives a restart of the broker, and has all that the worker needs to know."""

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
    """The message has delivery mode 2, which means persistent."""
    _, _, properties = message(JOB, origin="gateway@board")
    assert properties == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": "job-7",
    }


def test_the_worker_learns_the_jobs_limits_and_its_failures() -> None:
    """Without the number of failures, a job that fails would run forever, or an old copy would pass for its retry."""
    _, headers, _ = message(JOB, origin="gateway@board")
    assert headers["edge"] == {
        "failures": 3,
        "retries": 4,
        "time_limit_s": 2.5,
        "max_temp_c": 70.0,
        "submitter": "anna",
    }


def test_the_worker_learns_the_files_of_the_job() -> None:
    """The message names the hashes of the files. The content is on the worker's own board or on its head."""
    job = msgspec.structs.replace(JOB, files=b'{"clip":{"sha256":"%s","name":"a.mov","bytes":7}}' % (b"0" * 64))
    _, headers, _ = message(job, origin="gateway@board")
    edge = headers["edge"]
    assert isinstance(edge, dict)
    assert edge["files"] == {"clip": {"sha256": "0" * 64, "name": "a.mov", "bytes": 7}}


def test_the_call_is_as_celery_has_it() -> None:
    """Body and headers have the form of Celery's protocol 2, which plain Celery sends and reads."""
    body, headers, _ = message(JOB, origin="gateway@board")
    args, kwargs, _ = msgspec.json.decode(body)
    assert (args, kwargs) == ([1, "a"], {"b": None})
    assert (headers["task"], headers["id"], headers["root_id"], headers["lang"]) == ("solve", "job-7", "job-7", "py")
