"""Tokens are shown once and stored as hashes, and the token file is never half written."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from edge.access.tokens import BadTokenFile, Scope, Tokens, digest, matching, new_secret
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.worker.context import _claim


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Return the token file of a new board."""
    return Tokens(tmp_path / "state" / "tokens.json")


def test_only_the_secret_that_add_returned_is_accepted(tokens: Tokens) -> None:
    """A part of the secret, or an empty text, matches no token."""
    secret = tokens.add("anna", [Scope.SUBMIT, Scope.READ])
    assert secret.startswith("edge_")
    found = matching(tokens.list(), secret)
    assert found is not None
    assert (found.name, found.scopes) == ("anna", (Scope.READ, Scope.SUBMIT))
    assert matching(tokens.list(), secret[:-1]) is None
    assert matching(tokens.list(), "") is None


def test_the_file_holds_no_secret(tokens: Tokens, tmp_path: Path) -> None:
    """A reader of the file gets only hashes."""
    secret = tokens.add("anna", [Scope.ADMIN])
    content = (tmp_path / "state" / "tokens.json").read_text()
    assert secret not in content
    assert sha256(secret.encode()).hexdigest() in content


def test_a_revoked_token_is_forgotten_and_the_others_stay(tokens: Tokens) -> None:
    """A token is revoked by its name."""
    gone, stays = tokens.add("anna", [Scope.READ]), tokens.add("bert", [Scope.READ])
    tokens.revoke("anna")
    assert matching(tokens.list(), gone) is None
    assert matching(tokens.list(), stays) is not None


def test_tokens_of_another_file_can_be_added(tokens: Tokens, tmp_path: Path) -> None:
    """After a restore both are valid: the token of the backup, and the token of the same name from the new card."""
    new_card = Tokens(tmp_path / "aside" / "tokens.json")
    old, new = tokens.add("anna", [Scope.SUBMIT]), new_card.add("anna", [Scope.READ])
    tokens.keep(new_card.list())
    assert [matching(tokens.list(), secret) is not None for secret in (old, new)] == [True, True]
    tokens.revoke("anna")
    assert tokens.list() == ()


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 65, "local", "amqp", "ä"])
def test_a_name_that_cannot_be_a_submitter_is_refused(tokens: Tokens, name: str) -> None:
    """Names appear in job ids, logs and lists."""
    with pytest.raises(UsageError, match="token name"):
        tokens.add(name, [Scope.READ])


def test_a_name_is_given_once(tokens: Tokens) -> None:
    """A second token of the same name would see the jobs of the first."""
    tokens.add("anna", [Scope.READ])
    with pytest.raises(UsageError, match="exists"):
        tokens.add("anna", [Scope.READ])


def test_revoking_an_unknown_name_lists_the_known(tokens: Tokens) -> None:
    """The list helps to find a typing error."""
    tokens.add("anna", [Scope.READ])
    with pytest.raises(UsageError, match="there are anna"):
        tokens.revoke("ana")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tokens":[{"name":"a"}]}', b"\xff", b'{"x":' + b"[" * 9999])
def test_no_token_of_a_damaged_file_is_valid(tmp_path: Path, content: bytes) -> None:
    """The file is refused as a whole, and the error names it."""
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    with pytest.raises(BadTokenFile, match=r"tokens\.json"):
        Tokens(path).list()


def test_a_token_keeps_its_secret_when_its_scopes_change(tokens: Tokens) -> None:
    """The owner of the token needs no new secret, and other tokens do not change."""
    secret, other = tokens.add("anna", [Scope.SUBMIT]), tokens.add("bert", [Scope.ADMIN])
    tokens.allow("anna", [Scope.SUBMIT, Scope.READ, Scope.READ])
    found = [matching(tokens.list(), each) for each in (secret, other)]
    assert [token and token.scopes for token in found] == [(Scope.READ, Scope.SUBMIT), (Scope.ADMIN,)]


def test_a_change_of_an_unknown_token_or_without_scopes_is_refused(tokens: Tokens) -> None:
    """A typing error must not look like a successful change."""
    tokens.add("anna", [Scope.READ])
    with pytest.raises(UsageError, match="no token 'ana': there are anna"):
        tokens.allow("ana", [Scope.READ])
    for change in (tokens.allow, tokens.add):
        with pytest.raises(UsageError, match="at least one scope of submit, read, run, admin, node"):
            change("anna", [])


@pytest.mark.parametrize("call", ["add", "allow", "revoke", "keep"])
def test_two_changes_at_once_do_not_lose_one(tokens: Tokens, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The lock is held from the read to the write. Otherwise the later writer would undo the earlier change."""
    tokens.add("anna", [Scope.READ])
    locked: list[bool] = []

    def list_or_write(real: Any) -> Any:
        def call(self: Tokens, *args: Any) -> Any:
            with (self._path.with_suffix(".lock")).open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    locked.append(True)
                else:
                    locked.append(False)
            return real(self, *args)

        return call

    for name in ("list", "_write"):
        monkeypatch.setattr(Tokens, name, list_or_write(getattr(Tokens, name)))
    changes: dict[str, Callable[[], object]] = {
        "add": lambda: tokens.add("bert", [Scope.READ]),
        "allow": lambda: tokens.allow("anna", [Scope.ADMIN]),
        "revoke": lambda: tokens.revoke("anna"),
        "keep": lambda: tokens.keep([]),
    }
    changes[call]()
    assert locked == [True, True]


def test_tokens_made_at_once_are_all_there(tokens: Tokens) -> None:
    """A playbook and a person may make tokens at the same time."""
    names = [f"token-{number}" for number in range(16)]
    barrier = Barrier(len(names))

    def add(name: str) -> None:
        barrier.wait(20)
        Tokens(tokens._path).add(name, [Scope.READ])

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(add, names))
    assert sorted(token.name for token in tokens.list()) == sorted(names)


def test_a_worker_that_runs_does_not_hold_up_a_new_token(tokens: Tokens, tmp_path: Path) -> None:
    """Each worker holds a lock on the state root for its life, so that a restore sees it. Tokens use another lock."""
    locks = _claim(Layout(tmp_path / "state", tmp_path / "run"), "main")
    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(tokens.add, "anna", [Scope.READ]).result(20)
    finally:
        for lock in locks:
            os.close(lock)


def test_the_whole_hash_of_a_token_counts(tokens: Tokens) -> None:
    """A token whose hash differs only in the last digit does not match."""
    secret = tokens.add("anna", [Scope.READ])
    (token,) = tokens.list()
    near = msgspec.structs.replace(token, sha256=token.sha256[:-1] + ("0" if token.sha256[-1] != "0" else "1"))
    assert matching([near], secret) is None


# ---- the second file, which the gateway writes ----


@pytest.fixture
def both(tmp_path: Path) -> Tokens:
    """Return both token files of a board."""
    return Tokens(tmp_path / "tokens.json", paired=tmp_path / "paired" / "tokens.json")


def test_tokens_of_both_files_count_and_are_changed_alike(both: Tokens, tmp_path: Path) -> None:
    """Tokens are listed, changed and revoked by name, no matter which file they are in."""
    both.add("anna", [Scope.READ])
    secret = new_secret()
    both.admit("bert", [Scope.SUBMIT], sha256=digest(secret), by_gateway=True)
    assert [token.name for token in Tokens(tmp_path / "tokens.json").list()] == ["anna"]
    assert [token.name for token in both.list()] == ["anna", "bert"]
    both.allow("bert", [Scope.READ])
    found = matching(both.list(), secret)
    assert found is not None
    assert found.scopes == (Scope.READ,)
    both.revoke("bert")
    assert matching(both.list(), secret) is None


def test_a_name_is_taken_in_either_file(both: Tokens) -> None:
    """Two tokens with one name would act as the same submitter."""
    both.admit("bert", [Scope.SUBMIT], sha256="0" * 64, by_gateway=True)
    with pytest.raises(UsageError, match="exists"):
        both.add("bert", [Scope.READ])
    with pytest.raises(UsageError, match="exists"):
        both.admit("bert", [Scope.SUBMIT], sha256="1" * 64, by_gateway=True)


def test_a_token_with_a_known_hash_is_not_stored_twice(both: Tokens) -> None:
    """A repeated approval changes nothing."""
    first = both.admit("bert", [Scope.SUBMIT], sha256="0" * 64)
    assert both.admit("carl", [Scope.ADMIN], sha256="0" * 64, by_gateway=True) == first
    assert both.list() == (first,)


def test_a_damaged_second_file_makes_the_tokens_unreadable(both: Tokens, tmp_path: Path) -> None:
    """The error is the same as for the first file, even if that one can be read."""
    both.add("anna", [Scope.READ])
    (tmp_path / "paired").mkdir()
    (tmp_path / "paired" / "tokens.json").write_text("{")
    with pytest.raises(BadTokenFile):
        both.list()
