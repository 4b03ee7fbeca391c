"""An archive is whole and durable before it gets its name, and only its owner can read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.backup.archive import BadArchive, Manifest, Member, packing, unpack

MANIFEST = Manifest("1", 0.0, "board", 0, 0)


def _quiet(_files: int, _size: int) -> None:
    return


def _pack(target: Path, content: bytes = b"content", *, replace: bool = False) -> None:
    source = target.with_name("source")
    source.write_bytes(content)
    with packing(target, advance=_quiet, replace=replace) as packer:
        packer.file(source, "ledger.sqlite")
        packer.end(MANIFEST)


def test_an_archive_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves the whole archive or none. The name is made durable, too."""
    target, seen = tmp_path / "b.tar", list[bool]()
    real = os.fsync

    def fsync(fd: int) -> None:
        seen.append(target.exists())
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    _pack(target)
    assert seen == [False, True]


def test_a_failed_sync_leaves_the_archive_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old archive stays even if it would have been replaced, and no partial file is left."""
    target = tmp_path / "b.tar"
    _pack(target)
    before = target.read_bytes()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        _pack(target, b"other", replace=True)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "source"]


def test_an_archive_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It contains the hashes of all tokens, and the results of all users."""
    _pack(tmp_path / "b.tar")
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_what_was_packed_comes_out(tmp_path: Path, name: str) -> None:
    """An archive, compressed or not, gives back the bytes that were packed."""
    _pack(tmp_path / name, b"x" * 100_000)
    unpack(tmp_path / name, tmp_path / "new", allowed=lambda _: True, advance=_quiet)
    assert (tmp_path / "new" / "ledger.sqlite").read_bytes() == b"x" * 100_000


def test_a_byte_that_changed_is_noticed(tmp_path: Path) -> None:
    """A tar has no checksum of the contents, but the list at its end has."""
    _pack(tmp_path / "b.tar", b"content")
    (tmp_path / "b.tar").write_bytes((tmp_path / "b.tar").read_bytes().replace(b"content", b"c0ntent"))
    with pytest.raises(BadArchive, match="1 of its files are missing or damaged, such as ledger"):
        unpack(tmp_path / "b.tar", tmp_path / "new", allowed=lambda _: True, advance=_quiet)


@pytest.mark.parametrize("listed", [0, 2])
def test_files_and_list_must_agree(tmp_path: Path, listed: int) -> None:
    """A file that is missing in the list is refused, and so is a file that is only in the list."""
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with packing(tmp_path / "b.tar", advance=_quiet) as packer:
        packer.file(source, "ledger.sqlite")
        packer.members[:] = [Member(f"{'x' * n}ledger.sqlite", 7, packer.members[0].sha256) for n in range(listed)]
        packer.end(MANIFEST)
    with pytest.raises(BadArchive, match="1 of its files are missing or damaged"):
        unpack(tmp_path / "b.tar", tmp_path / "new", allowed=lambda _: True, advance=_quiet)
