"""Who is let in, told from a request that no socket brought."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from edge.access.tokens import Scope, Tokens
from edge.gateway.http.auth import LOCAL, Authenticator
from edge.gateway.http.problems import Unauthenticated

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
