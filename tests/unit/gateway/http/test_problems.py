"""Errors become problem documents by a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from edge.core.errors import (
    BadArguments,
    BadJobId,
    EdgeError,
    JobGone,
    KeyReused,
    StorageError,
    TooManyJobs,
    TornResult,
    UnknownFile,
    UnknownJob,
    UnknownTask,
    WrongState,
)
from edge.gateway.http import problems
from edge.gateway.http.problems import Busy


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadArguments("solve", "no"), 422, "bad-arguments"),
        (UnknownTask("x", ["solve"]), 422, "unknown-task"),
        (UnknownJob("j"), 404, "unknown-job"),
        (BadJobId("../x"), 404, "unknown-job"),
        (UnknownFile("j", "a", []), 404, "unknown-file"),
        (JobGone("j"), 410, "job-gone"),
        (KeyReused("k", "j"), 409, "key-reused"),
        (WrongState("no"), 409, "wrong-state"),
        (TooManyJobs(3, 2), 503, "busy"),
        (StorageError("ledger", OSError(28, "No space left on device")), 507, "storage"),
        (TornResult(Path("x"), "torn"), 500, "storage"),
    ],
)
def test_every_foreseen_error_has_its_status_and_its_own_sentence(error: EdgeError, status: int, code: str) -> None:
    """The detail of the problem is the text of the error."""
    problem = problems.of(error)
    assert (problem.status, problem.code, problem.detail) == (status, code, str(error))
    assert problem.type == f"urn:edge:{code}"


def test_an_unexpected_error_reveals_no_internals() -> None:
    """A secret in the message of the error does not reach the client."""
    problem = problems.of(RuntimeError("password is hunter2"))
    assert problem.status == 500
    assert "hunter2" not in str(problem)


def test_a_full_gateway_says_when_to_come_back() -> None:
    """Retry-After has the seconds that the error names."""
    busy = Busy("full", retry_after_s=7)
    answer = problems.response(problems.of(busy), busy)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


def test_the_answer_to_a_missing_token_names_the_scheme() -> None:
    """RFC 9110 demands that a 401 says how to authenticate."""
    answer = problems.response(problems.of(problems.Unauthenticated("no token")))
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="edge"'


def test_aiohttps_own_refusals_become_problems() -> None:
    """An unknown path, a wrong method and a body over aiohttp's own limit get problems like our own errors."""
    assert problems.of_http(web.HTTPNotFound(), "GET", "/x").detail.startswith("nothing is at /x")
    wrong = problems.of_http(web.HTTPMethodNotAllowed("PUT", {"GET", "HEAD"}), "PUT", "/v1/jobs")
    assert wrong.detail == "PUT is not allowed for this path; allowed are GET, HEAD"
    large = problems.of_http(web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2), "POST", "/v1/jobs")
    assert (large.status, large.code) == (413, "too-large")
