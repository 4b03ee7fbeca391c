"""Input files of jobs stay safe if the disk refuses the sync of the folder after a file got its name."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest

from edge.config import Config
from edge.core import durable
from edge.core.errors import StorageError, UnknownInput
from edge.gateway.files import Files
from edge.model import InputFile
from edge.wire import FileView

CONTENT = b"some content"
HASH = sha256(CONTENT).hexdigest()


@pytest.fixture
def files(config: Config) -> Files:
    """Return the input files of a board with a started gateway."""
    files = Files(config)
    files.start()
    return files


def parts(*blocks: bytes) -> Callable[[], Awaitable[bytes]]:
    """Return a function that returns these blocks of a request one by one, and then its end."""
    left = [*blocks, b""]

    async def next_block() -> bytes:
        return left.pop(0)

    return next_block


def sent(files: Files, *, asked: bool = False) -> bool:
    """Send the file, or with `asked` only ask where its upload continues. Return True if the file is stored."""
    blocks = parts() if asked else parts(CONTENT)
    start = None if asked else 0
    view, _ = asyncio.run(files.receive(HASH, "ana", blocks, start=start, size=len(CONTENT)))
    return view.stored


def test_a_file_without_a_durable_name_is_not_reported_as_stored(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the error the client must send the file again, because a power cut may take back the name."""
    real = durable.sync_folder

    def refuse(folder: Path) -> None:
        if folder == files.inputs.root:
            raise OSError(errno.EIO, "Input/output error")
        real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_folder", refuse)
        with pytest.raises(StorageError):
            sent(files)
        assert files.inputs.size(HASH) == len(CONTENT)  # the file has its name
        assert files.look(HASH, "ana") is None
        with pytest.raises(UnknownInput):
            files.filled({"clip": InputFile(HASH)})
        assert not sent(files, asked=True)
        with pytest.raises(StorageError):
            sent(files)
    assert sent(files)
    assert files.filled({"clip": InputFile(HASH)})["clip"].bytes == len(CONTENT)
    assert sent(files, asked=True)


def test_a_start_makes_names_durable(files: Files, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier gateway may have ended between the name and the sync."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    Files(config).start()
    assert files.inputs.root in synced


def test_a_part_without_a_durable_record_is_not_reported(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a file system has stopped, it still shows the record of the last part, and cannot shorten the content."""
    content = CONTENT * 2

    async def part(first: int | None) -> FileView:
        blocks = parts() if first is None else parts(content[first : first + len(CONTENT)])
        view, _ = await files.receive("clip", "ana", blocks, start=first, size=len(content) + 1)
        return view

    def stopped(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    assert asyncio.run(part(0)).received == len(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_folder", stopped)
        patch.setattr(os, "truncate", stopped)
        with pytest.raises(StorageError):
            asyncio.run(part(len(CONTENT)))
        with pytest.raises(StorageError):
            asyncio.run(part(None))
        with pytest.raises(StorageError):
            files.look("clip", "ana")
