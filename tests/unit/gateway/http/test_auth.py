"""Who is let in, told from a request that no socket brought."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from edge.access.tokens import BadTokenFile, Scope, Tokens
from edge.gateway.http.auth import LOCAL, Authenticator
from edge.gateway.http.problems import Forbidden, Unauthenticated

READ = frozenset({Scope.READ})


def _request(*authorization: str, peer: str = "127.0.0.1") -> web.Request:
    transport = SimpleNamespace(get_extra_info=lambda _name: (peer, 1))
    headers = CIMultiDict[str]([("Authorization", each) for each in authorization])
    return cast("web.Request", cast("Any", SimpleNamespace(headers=headers, transport=transport, host="127.0.0.1")))


def test_only_loopback_needs_no_token(tmp_path: Path) -> None:
    """Whatever its Host header says."""
    door = Authenticator(tmp_path / "tokens.json", loopback_without_token=True)
    assert door.caller(_request(), READ) is LOCAL
    for peer in ("192.168.0.7", "fe80::1", ""):
        with pytest.raises(Unauthenticated):
            door.caller(_request(peer=peer), READ)


def test_no_token_lets_in_once_the_file_is_gone(tmp_path: Path) -> None:
    """Fail closed; a new file counts from its first request on."""
    tokens = Tokens(tmp_path / "tokens.json")
    secret = tokens.add("anna", [Scope.READ])
    door = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    assert door.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(Unauthenticated):
        door.caller(_request(f"Bearer {secret}"), READ)


def test_two_tokens_at_once_are_none(tmp_path: Path) -> None:
    """A proxy and this gateway may each look at another of them."""
    secret = Tokens(tmp_path / "tokens.json").add("anna", [Scope.READ])
    door = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    with pytest.raises(Unauthenticated, match="must be"):
        door.caller(_request(f"Bearer {secret}", "Bearer other"), READ)


def test_a_token_file_that_cannot_be_looked_at_lets_nobody_in(tmp_path: Path) -> None:
    """Not by what it held before: a token may have been revoked in it."""
    folder = tmp_path / "state"
    secret = Tokens(folder / "tokens.json").add("anna", [Scope.READ])
    door = Authenticator(folder / "tokens.json", loopback_without_token=False)
    assert door.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    folder.rename(tmp_path / "away")
    folder.write_text("a file where a folder must be")
    with pytest.raises(BadTokenFile):
        door.caller(_request(f"Bearer {secret}"), READ)


def test_another_file_of_the_same_size_counts(tmp_path: Path) -> None:
    """`read` became `node`."""
    tokens = Tokens(tmp_path / "tokens.json")
    secret = tokens.add("anna", [Scope.READ])
    door = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    assert door.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    size = (tmp_path / "tokens.json").stat().st_size
    tokens.allow("anna", [Scope.NODE])
    assert (tmp_path / "tokens.json").stat().st_size == size
    with pytest.raises(Forbidden):
        door.caller(_request(f"Bearer {secret}"), READ)


def test_who_is_on_the_board_is_no_other_board(tmp_path: Path) -> None:
    """A result that a node hands in comes with a token, however much loopback is trusted."""
    door = Authenticator(tmp_path / "tokens.json", loopback_without_token=True)
    with pytest.raises(Forbidden, match="this needs node"):
        door.caller(_request(), frozenset({Scope.NODE}))
