"""`edge token`: its output, and the errors that come before a token is made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edge.access import pairing
from edge.access.pairing import PairingBook
from edge.access.tokens import Scope, Tokens, digest, matching, new_secret
from edge.cli.main import main
from edge.core.layout import Layout
from edge.model.pairing import Code, new_nonce


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The edge.yaml of a board that is open to the LAN."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: state\nrun: run\ngateway: {host: 0.0.0.0}\n")
    return path


def layout(board: Path) -> Layout:
    """Return the paths of the board's files."""
    return Layout(board.parent / "state", board.parent / "run")


def ask(board: Path, name: str) -> tuple[str, Code]:
    """Make a pairing request. Return its secret and its code."""
    import time

    secret, now = new_secret(), time.monotonic()
    book = PairingBook("")
    made = book.ask(name, sha256=digest(secret), address="10.0.0.7", now=now)
    found = book.reveal(made.id, new_nonce(), now=now)
    path = layout(board).pairing
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pairing.encode([found]))
    return secret, Code(found.binding, "ZZ")


def test_a_phone_gets_a_code_that_opens_the_page_with_the_token(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The QR code contains the address of the login with the token behind the `#`, which browsers do not send."""
    argv = ["--config", str(board), "--url", "https://pi.local:8420", "token", "add", "phone", "--qr"]
    assert main([*argv, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["page"] == f"https://pi.local:8420/login#{printed['token']}"
    assert main([*argv[:-2], "other", "--qr"]) == 0
    *drawn, secret = capsys.readouterr().out.splitlines()
    assert matching(Tokens(layout(board).tokens).list(), secret) is not None
    assert len(drawn) > 10
    assert any("█" in line or "▀" in line for line in drawn)


def test_without_segno_no_token_is_made(
    board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without segno `--qr` fails with one line, and no token is made."""
    monkeypatch.setitem(sys.modules, "segno", None)
    assert main(["--config", str(board), "token", "add", "phone", "--qr"]) == 2
    assert "pip install segno" in capsys.readouterr().err
    assert Tokens(layout(board).tokens).list() == ()


def test_only_a_code_for_a_phone_loads_segno(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--qr` a token can be made although segno is missing."""
    monkeypatch.setitem(sys.modules, "segno", None)
    assert main(["--config", str(board), "token", "add", "laptop"]) == 0


def test_who_asks_is_listed_without_the_code(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests are listed with name and address. Their codes must be read from the screen of the visitor."""
    _, code = ask(board, "laptop")
    assert main(["--config", str(board), "token", "pending"]) == 0
    printed = capsys.readouterr().out
    assert "laptop" in printed
    assert "10.0.0.7" in printed
    assert code.binding not in printed
    assert main(["--config", str(board), "token", "pending", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert 0 < listed.pop("expires_s") <= pairing.LIFE_S
    assert listed == {"name": "laptop", "address": "10.0.0.7", "page": False}


@pytest.mark.parametrize(
    ("word", "exit_code", "expected"),
    [
        ("ABC", 2, "expected 8"),
        ("00000000", 4, "do not continue"),
        ("00000001", 2, "typing error"),
        ("\x1b[2J", 2, "code"),
    ],
)
def test_what_is_no_code_is_one_sentence(
    board: Path, capsys: pytest.CaptureFixture[str], word: str, exit_code: int, expected: str
) -> None:
    """A mistyped, invented or old code is refused with one line, and no token is made."""
    assert main(["--config", str(board), "token", "approve", word]) == exit_code
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert not layout(board).tokens.exists()


def test_the_owner_chooses_name_and_scopes(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The owner's name and scopes are used; the name in the request is only a proposal."""
    secret, code = ask(board, "laptop")
    argv = ["--config", str(board), "token", "approve", str(code), "--name", "annas", "--scope", "read", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "annas"
    found = matching(Tokens(layout(board).tokens).list(), secret)
    assert found is not None
    assert (found.name, found.scopes) == ("annas", (Scope.READ,))
