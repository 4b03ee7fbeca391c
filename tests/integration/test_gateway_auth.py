"""Tokens and scopes decide who may do what; loopback may be trusted."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from edge.access.tokens import Scope, Tokens
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway


@pytest.fixture
def closed(make_config: MakeConfig, start_gateway: StartGateway) -> RunningGateway:
    """A gateway that requires a token of everybody."""
    return start_gateway(make_config(gateway={"loopback_without_token": False}))


@pytest.fixture
def tokens(closed: RunningGateway) -> Tokens:
    """The token file of the gateway."""
    return Tokens(closed.layout.tokens)


def bearer(secret: str) -> dict[str, Any]:
    """Return the header with `secret` as a token."""
    return {"Authorization": f"Bearer {secret}"}


def test_without_a_token_only_health_and_the_document_are_shown(closed: RunningGateway) -> None:
    """Every route except health and the document answers 401 with the scheme."""
    for method, path in [
        ("POST", "/jobs"),
        ("POST", "/jobs/batch"),
        ("GET", "/jobs"),
        ("GET", "/jobs/x"),
        ("DELETE", "/jobs/x"),
        ("GET", "/jobs/x/result"),
        ("GET", "/jobs/x/files/y"),
        ("GET", "/tasks"),
        ("GET", "/status"),
        ("GET", "/metrics"),
    ]:
        answer = closed.ask(method, path)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert closed.ask("GET", "/healthz").status == 200
    assert closed.ask("GET", "/openapi.json").status == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "edge_x", "Bearer edge_wrong", "Bearer \xe4\xf6", "Bearer a b"]
)
def test_what_is_no_token_is_refused(closed: RunningGateway, header: str) -> None:
    """Any other header gets 401, never a 5xx."""
    assert closed.ask("GET", "/jobs", Authorization=header).status == 401


def test_a_token_counts_from_its_making_to_its_revocation(closed: RunningGateway, tokens: Tokens) -> None:
    """A token is valid from its making to its revocation, without delay, because each request reads the file."""
    secret = tokens.add("anna", [Scope.READ])
    assert closed.ask("GET", "/jobs", **bearer(secret)).status == 200
    tokens.revoke("anna")
    assert closed.ask("GET", "/jobs", **bearer(secret)).status == 401


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        (Scope.READ, ["GET /jobs", "GET /tasks", "GET /status", "GET /metrics"], ["POST /jobs", "DELETE /jobs/x"]),
        (Scope.SUBMIT, ["GET /jobs", "GET /tasks", "GET /status"], ["GET /metrics"]),
        (Scope.ADMIN, ["GET /jobs", "GET /tasks", "GET /status", "GET /metrics"], []),
    ],
)
def test_a_scope_opens_its_routes_only(
    closed: RunningGateway, tokens: Tokens, scope: Scope, allowed: list[str], refused: list[str]
) -> None:
    """403 names the missing scope."""
    headers = bearer(tokens.add("anna", [scope]))
    for route in allowed:
        assert closed.ask(*route.split(), **headers).status == 200, route
    for route in refused:
        answer = closed.ask(*route.split(), **headers)
        assert (answer.status, answer.json["code"]) == (403, "forbidden"), route
        assert "this needs" in answer.json["detail"]


def test_a_submitter_sees_and_ends_only_its_own_jobs(closed: RunningGateway, tokens: Tokens) -> None:
    """A submitter learns nothing of the jobs of others; `read` sees all and ends none; `admin` may do everything."""
    anna = bearer(tokens.add("anna", [Scope.SUBMIT]))
    bert = bearer(tokens.add("bert", [Scope.SUBMIT, Scope.READ]))
    root = bearer(tokens.add("root", [Scope.ADMIN]))
    hers, his = closed.submit(**anna), closed.submit(**bert)

    def listed(headers: dict[str, Any]) -> set[str]:
        return {job["id"] for job in closed.ask("GET", "/jobs", **headers).json["jobs"]}

    assert listed(anna) == {hers}
    assert listed(bert) == listed(root) == {hers, his}
    assert closed.ask("GET", f"/jobs/{his}", **anna).status == 404
    assert closed.ask("GET", f"/jobs/{his}/result", **anna).status == 404
    assert closed.ask("DELETE", f"/jobs/{his}", **anna).status == 404
    assert closed.ask("DELETE", f"/jobs/{hers}", **bert).status == 403
    assert closed.ask("DELETE", f"/jobs/{hers}", **anna).status == 202
    assert closed.ask("DELETE", f"/jobs/{his}", **root).status == 202


def test_two_submitters_may_use_the_same_key(closed: RunningGateway, tokens: Tokens) -> None:
    """A key belongs to its submitter, so nobody can find or block the job of another by guessing it."""
    anna, bert = (bearer(tokens.add(name, [Scope.SUBMIT])) for name in ("anna", "bert"))
    assert closed.submit(Idempotency_Key="k", **anna) != closed.submit(Idempotency_Key="k", **bert)


def test_a_damaged_token_file_lets_nobody_in(closed: RunningGateway, tokens: Tokens) -> None:
    """A damaged token file makes all tokens invalid, also earlier ones: one of them may have been revoked in it."""
    secret = tokens.add("anna", [Scope.READ])
    assert closed.ask("GET", "/jobs", **bearer(secret)).status == 200
    closed.layout.tokens.write_bytes(b"{")
    assert closed.ask("GET", "/jobs", **bearer(secret)).status == 503


def test_no_token_gets_into_a_log(closed: RunningGateway, tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    """No token gets into a log, neither from the header nor from a query, where it does not belong."""
    secret = tokens.add("anna", [Scope.READ])
    with caplog.at_level(logging.DEBUG):
        closed.ask("GET", "/jobs", **bearer(secret))
        closed.ask("GET", f"/jobs?token={secret}", **bearer(secret))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert any("GET /v1/jobs 200" in line for line in ours)
    assert not any(secret in line for line in ours)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8420"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8420"}, 200),
        ({"Host": "evil.example"}, 401),
        ({"Host": "evil.example:8420"}, 401),
        ({"Host": "localhost.evil.example"}, 401),
        ({"X-Forwarded-For": "192.0.2.1"}, 401),
        ({"Forwarded": "for=192.0.2.1"}, 401),
    ],
)
def test_loopback_is_trusted_only_for_itself(gateway: RunningGateway, headers: dict[str, Any], status: int) -> None:
    """Loopback is not trusted for a proxy on the board, or a web page with a name that resolves to 127.0.0.1."""
    assert gateway.ask("GET", "/jobs", **headers).status == status
