"""The table from error to problem document."""

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
    """What a person reads is what the error says."""
    problem = problems.of(error)
    assert (problem.status, problem.code, problem.detail) == (status, code, str(error))
    assert problem.type == f"urn:edge:{code}"


def test_an_error_nobody_foresaw_tells_nothing_of_our_insides() -> None:
    """A secret in a message stays in the log."""
    problem = problems.of(RuntimeError("password is hunter2"))
    assert problem.status == 500
    assert "hunter2" not in str(problem)


def test_a_full_gateway_says_when_to_come_back() -> None:
    """Retry-After holds the seconds the error asks for."""
    busy = Busy("full", retry_after_s=7)
    answer = problems.response(problems.of(busy), busy)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


def test_a_missing_token_is_told_with_its_scheme() -> None:
    """RFC 9110: a 401 names how to authenticate."""
    answer = problems.response(problems.of(problems.Unauthenticated("no token")))
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="edge"'


def test_aiohttps_own_refusals_become_problems() -> None:
    """An unknown path, a wrong method and a body over aiohttp's own limit read like ours."""
    assert problems.of_http(web.HTTPNotFound(), "GET", "/x").detail.startswith("nothing is at /x")
    wrong = problems.of_http(web.HTTPMethodNotAllowed("PUT", {"GET", "HEAD"}), "PUT", "/v1/jobs")
    assert wrong.detail == "PUT is not for this path: GET, HEAD"
    large = problems.of_http(web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2), "POST", "/v1/jobs")
    assert (large.status, large.code) == (413, "too-large")
