"""An unfinished upload resumes at a durable byte. A file has its name only when it is complete and durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import durable
from edge.results import incoming as module
from edge.results.incoming import SAVE_BYTES, Incoming, Progress, Upload, WrongHash
from edge.results.inputs import Inputs

CONTENT = b"0123456789" * 1000
HASH = sha256(CONTENT).hexdigest()


@pytest.fixture
def incoming(tmp_path: Path) -> Incoming:
    made = Incoming(Inputs(tmp_path / "files"))
    made.start()
    return made


def begin(incoming: Incoming, *, resume: bool = True, sha256: str = "") -> Upload:
    """Begin the upload of this module."""
    return incoming.begin("up", size=len(CONTENT), sha256=sha256, resume=resume)


@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6), lost=st.lists(st.binary(max_size=50), max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_pieces_with_restarts_between_make_the_file(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], lost: list[bytes]
) -> None:
    """Bytes that a power cut left behind the saved ones change nothing."""
    root = tmp_path_factory.mktemp("files")
    ends = [*sorted(cuts), len(CONTENT)]
    for number, end in enumerate(ends):
        fresh = Incoming(Inputs(root))  # a restarted gateway, which has no hash state in memory
        fresh.start()
        upload = begin(fresh, sha256=HASH)
        upload.append(CONTENT[upload.received : end])
        upload.save()
        upload.close()
        if number < len(lost) and upload.received:
            with (root / ".incoming" / "up.part").open("ab") as file:
                file.write(lost[number])
    last = Incoming(Inputs(root))
    upload = begin(last, sha256=HASH)
    assert upload.received == len(CONTENT)
    last.store("up", upload.seal())
    assert (root / HASH).read_bytes() == CONTENT
    assert list((root / ".incoming").iterdir()) == []


def test_a_large_upload_is_saved_while_it_comes(incoming: Incoming) -> None:
    """A power cut costs it at most some megabytes."""
    upload = incoming.begin("up", size=None, sha256="", resume=True)
    for _ in range(2 * SAVE_BYTES // (1 << 20)):
        upload.append(bytes(1 << 20))
    found = incoming.find("up")
    assert found is not None
    assert found.received == 2 * SAVE_BYTES
    upload.close()


def test_another_content_is_thrown_away(incoming: Incoming, tmp_path: Path) -> None:
    """An upload with a wrong hash cannot be resumed."""
    upload = begin(incoming, sha256="0" * 64)
    upload.append(CONTENT)
    with pytest.raises(WrongHash):
        upload.seal()
    assert incoming.find("up") is None
    assert list((tmp_path / "files" / ".incoming").iterdir()) == []


def test_a_record_that_says_more_than_the_file_has_is_not_believed(incoming: Incoming, tmp_path: Path) -> None:
    """The upload starts again at 0."""
    upload = begin(incoming)
    upload.append(CONTENT[:100])
    upload.save()
    upload.close()
    os.truncate(tmp_path / "files" / ".incoming" / "up.part", 50)
    assert incoming.find("up") is None
    again = begin(incoming)
    assert again.received == 0
    again.close()


def test_the_hash_of_an_upload_that_goes_on_is_not_computed_again(
    incoming: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a lost connection a gigabyte need not be read again."""
    upload = begin(incoming, sha256=HASH)
    upload.append(CONTENT[:500])
    upload.save()
    upload.close()
    monkeypatch.setattr(module, "_READ_BYTES", 0)  # a second read would return nothing
    again = begin(incoming, sha256=HASH)
    again.append(CONTENT[500:])
    assert again.seal().sha256 == HASH


def test_an_upload_that_begins_anew_forgets_what_was_there(incoming: Incoming) -> None:
    """A request without an offset starts the upload again."""
    upload = begin(incoming)
    upload.append(b"other")
    upload.save()
    upload.close()
    again = begin(incoming, resume=False, sha256=HASH)
    again.append(CONTENT)
    assert again.seal().received == len(CONTENT)


def test_the_order_is_content_name_folder(incoming: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name before its content could be torn by a cut. An answer before the sync of the folder could be lost."""
    calls: list[str] = []
    fsync, replace, sync_folder = os.fsync, Path.replace, durable.sync_folder

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append(name)
            return real(*args)

        return call

    monkeypatch.setattr(os, "fsync", noted("content", fsync))
    monkeypatch.setattr(Path, "replace", noted("name", replace))
    monkeypatch.setattr(durable, "sync_folder", noted("folder", sync_folder))
    upload = begin(incoming, sha256=HASH)
    upload.append(CONTENT)
    done = upload.seal()
    assert calls == ["content"]
    incoming.store("up", done)
    assert calls[:3] == ["content", "name", "folder"]


def test_a_file_that_is_there_stays_as_it_is(incoming: Incoming, tmp_path: Path) -> None:
    """Jobs may be reading the stored file."""
    for key in ("one", "two"):
        upload = incoming.begin(key, size=None, sha256="", resume=False)
        upload.append(CONTENT)
        incoming.store(key, upload.seal())
        inode = (tmp_path / "files" / HASH).stat().st_ino
    assert (tmp_path / "files" / HASH).stat().st_ino == inode
    assert (tmp_path / "files" / HASH).stat().st_mode & 0o777 == 0o440


def test_a_sync_that_fails_says_nothing_is_safe(incoming: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have dropped the pages."""
    upload = begin(incoming)
    upload.append(CONTENT[:100])
    upload.save()
    upload.append(CONTENT[100:])

    def refuse(_fd: Any) -> None:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", refuse)
        with pytest.raises(OSError, match="no"):
            upload.save()
        upload.rewind()
    found = incoming.find("up")
    assert found is not None
    assert found.received == 100  # the client was told that this many bytes are safe
    again = begin(incoming, sha256=HASH)
    again.append(CONTENT[100:])
    assert again.seal().sha256 == HASH


def test_a_stored_upload_is_remembered_by_its_name(incoming: Incoming, tmp_path: Path) -> None:
    """The record stays until its file is removed."""
    upload = begin(incoming)
    upload.append(CONTENT)
    done = upload.seal()
    incoming.store("up", done)
    incoming.remember("up", done)
    assert incoming.find("up") == Progress(len(CONTENT), len(CONTENT), HASH, stored=True)
    (tmp_path / "files" / HASH).unlink()
    assert incoming.find("up") is None


def test_what_was_never_saved_goes_at_the_start(incoming: Incoming, tmp_path: Path) -> None:
    """No client could resume such an upload."""
    begin(incoming).close()
    assert (tmp_path / "files" / ".incoming" / "up.part").exists()
    incoming.start()
    assert not (tmp_path / "files" / ".incoming" / "up.part").exists()
