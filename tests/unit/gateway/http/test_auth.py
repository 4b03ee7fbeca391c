"""The authenticator accepts or refuses requests. The requests are made without a socket."""

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
    """A request from another address needs one even if its Host header names loopback."""
    authenticator = Authenticator(tmp_path / "tokens.json", loopback_without_token=True)
    assert authenticator.caller(_request(), READ) is LOCAL
    for peer in ("192.168.0.7", "fe80::1", ""):
        with pytest.raises(Unauthenticated):
            authenticator.caller(_request(peer=peer), READ)


def test_no_token_is_valid_once_the_file_is_gone(tmp_path: Path) -> None:
    """Without the token file every token is refused."""
    tokens = Tokens(tmp_path / "tokens.json")
    secret = tokens.add("anna", [Scope.READ])
    authenticator = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    assert authenticator.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(Unauthenticated):
        authenticator.caller(_request(f"Bearer {secret}"), READ)


def test_two_tokens_at_once_are_refused(tmp_path: Path) -> None:
    """A proxy and this gateway might each check a different one."""
    secret = Tokens(tmp_path / "tokens.json").add("anna", [Scope.READ])
    authenticator = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    with pytest.raises(Unauthenticated, match="must be"):
        authenticator.caller(_request(f"Bearer {secret}", "Bearer other"), READ)


def test_with_an_unreadable_token_file_every_token_is_refused(tmp_path: Path) -> None:
    """The tokens that were read before do not count, because one may have been revoked since."""
    folder = tmp_path / "state"
    secret = Tokens(folder / "tokens.json").add("anna", [Scope.READ])
    authenticator = Authenticator(folder / "tokens.json", loopback_without_token=False)
    assert authenticator.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    folder.rename(tmp_path / "away")
    folder.write_text("a file where a folder must be")
    with pytest.raises(BadTokenFile):
        authenticator.caller(_request(f"Bearer {secret}"), READ)


def test_a_new_file_of_the_same_size_is_read(tmp_path: Path) -> None:
    """A change of the scope from `read` to `node` does not change the size of the file."""
    tokens = Tokens(tmp_path / "tokens.json")
    secret = tokens.add("anna", [Scope.READ])
    authenticator = Authenticator(tmp_path / "tokens.json", loopback_without_token=False)
    assert authenticator.caller(_request(f"Bearer {secret}"), READ).name == "anna"
    size = (tmp_path / "tokens.json").stat().st_size
    tokens.allow("anna", [Scope.NODE])
    assert (tmp_path / "tokens.json").stat().st_size == size
    with pytest.raises(Forbidden):
        authenticator.caller(_request(f"Bearer {secret}"), READ)


def test_loopback_without_a_token_is_not_a_node(tmp_path: Path) -> None:
    """A node must send its token even if loopback is trusted."""
    authenticator = Authenticator(tmp_path / "tokens.json", loopback_without_token=True)
    with pytest.raises(Forbidden, match="this needs node"):
        authenticator.caller(_request(), frozenset({Scope.NODE}))
