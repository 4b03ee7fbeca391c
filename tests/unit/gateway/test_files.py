"""The input files of jobs, where the disk refuses a call between the name of a file and the sync of its folder."""

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
    """The files of a board whose gateway has started."""
    files = Files(config)
    files.start()
    return files


def parts(*blocks: bytes) -> Callable[[], Awaitable[bytes]]:
    """The blocks of a request, and its end."""
    left = [*blocks, b""]

    async def next_block() -> bytes:
        return left.pop(0)

    return next_block


def sent(files: Files, *, asked: bool = False) -> bool:
    """Send the file, or ask where its upload goes on; True if it is stored."""
    blocks = parts() if asked else parts(CONTENT)
    start = None if asked else 0
    view, _ = asyncio.run(files.receive(HASH, "ana", blocks, start=start, size=len(CONTENT)))
    return view.stored


def test_a_name_that_is_not_durable_is_not_told(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks after the error has to send the file again: a power cut may take back the name."""
    real = durable.sync_folder

    def refuse(folder: Path) -> None:
        if folder == files.inputs.root:
            raise OSError(errno.EIO, "Input/output error")
        real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_folder", refuse)
        with pytest.raises(StorageError):
            sent(files)
        assert files.inputs.size(HASH) == len(CONTENT)  # the name is there
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


def test_a_part_whose_record_is_not_durable_is_not_told(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has stopped keeps the record of the last part in sight, and cannot shorten the content."""
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
