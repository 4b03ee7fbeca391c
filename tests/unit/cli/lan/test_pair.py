"""`edge pair`: the address of the board, and the files that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli.lan import discover, pair
from edge.cli.main import main
from edge.client.pairing import Paired
from edge.client.settings import Settings
from edge.core.errors import UsageError

_PAIRED = Paired("edge_x", "laptop", ("submit",))


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("pi.local", "https://pi.local:8420"),
        ("pi.local:99", "https://pi.local:99"),
        ("fe80::1", "https://[fe80::1]:8420"),
        ("http://pi:8420", "http://pi:8420"),
    ],
)
def test_a_host_means_https(word: str, url: str) -> None:
    """A host without a scheme means https. Plain HTTP must be named, or an attacker could force a laptop to use it."""
    assert pair._address(word) == url


@pytest.mark.parametrize("word", ["", "pi/x", "pi:port", ":8420"])
def test_what_is_no_host_is_refused(word: str) -> None:
    """Text that is neither a host nor a URL raises UsageError."""
    with pytest.raises(UsageError, match="HOST"):
        pair._address(word)


def test_a_board_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is one line that names the command for a board without a certificate. No file is left behind."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["pair", "127.0.0.1:1"]) == 3
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "edge pair http://127.0.0.1:1" in printed
    assert list((tmp_path / "edge").iterdir()) == []


def settings(folder: Path, url: str = "https://pi:8420") -> Settings:
    """Return the settings of a board with the certificate that it showed."""
    certificate = folder / "shown.pem"
    certificate.write_text("PEM")
    return Settings(url, certificate=certificate, paired=True)


def found(folder: Path, url: str | None = None, **env: str) -> Settings:
    """Return the settings that a later command finds."""
    file = folder / "client.yaml"
    return Settings.find(url=url, env={"EDGE_CLIENT_CONFIG": str(file), **env})


def test_what_is_kept_is_found_by_later_commands(tmp_path: Path) -> None:
    """Later commands find address, token and certificate."""
    assert pair._store(tmp_path, settings(tmp_path), _PAIRED) == tmp_path / "client.yaml"
    kept = found(tmp_path)
    assert (kept.url, kept.token) == ("https://pi:8420", "edge_x")
    assert kept.certificate == tmp_path / "pi-8420-certificate.pem"


def test_the_certificate_counts_for_its_board_alone(tmp_path: Path) -> None:
    """The certificate is not used for another address, whether by option or by EDGE_URL."""
    pair._store(tmp_path, settings(tmp_path), _PAIRED)
    assert found(tmp_path, "https://other:8420").certificate is None
    assert found(tmp_path, EDGE_URL="https://other:8420").certificate is None


def test_pairing_again_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    """Other keys of client.yaml stay. The old token and CA are removed, because they would override the new ones."""
    (tmp_path / "client.yaml").write_text("url: https://pi:8420/\npatience_s: 60\ntoken: edge_old\nca_file: ca.pem\n")
    (tmp_path / "client.yaml").chmod(0o600)
    assert pair._store(tmp_path, settings(tmp_path), _PAIRED) == tmp_path / "client.yaml"
    kept = found(tmp_path)
    assert (kept.token, kept.patience_s, kept.ca_file) == ("edge_x", 60.0, None)


@pytest.mark.parametrize("content", ["url: https://other:8420\n", "{", "- a\n", "patience_s: 60\n"])
def test_a_file_of_another_board_stays_as_it_is(tmp_path: Path, content: str) -> None:
    """A client.yaml of another board is not changed, nor is one that cannot be read; a second file is written."""
    (tmp_path / "client.yaml").write_text(content)
    assert pair._store(tmp_path, settings(tmp_path), _PAIRED) == tmp_path / "pi-8420.yaml"
    assert (tmp_path / "client.yaml").read_text() == content
    assert Settings.find(env={"EDGE_CLIENT_CONFIG": str(tmp_path / "pi-8420.yaml")}).token == "edge_x"


def test_discover_knows_the_boards_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The boards of all client files are known. A file that cannot be read is ignored."""
    folder = tmp_path / "edge"
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert discover._known_urls() == frozenset()
    pair._store(folder, settings(folder), _PAIRED)
    pair._store(folder, settings(folder, "https://roof:8420"), _PAIRED)
    (folder / "odd.yaml").write_text("{")
    assert discover._known_urls() == {"https://pi:8420", "https://roof:8420"}
