"""Holds the artifacts of one attempt: they are written into a separate folder, then hashed, then made durable."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path

from edge.core import durable
from edge.model import Artifact

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+=@-]{0,199}")


def check_artifact_name(name: str) -> str:
    """Return `name` if it is a plain file name. Raises ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"file name {name[:80]!r}: 1 to 200 of letters, digits, space and ._()+=@- starting with a letter or digit"
        )
    return name


class Staging:
    """The folder for the artifacts of one attempt. The first file creates it. Methods raise OSError."""

    def __init__(self, shard: Path, job_id: str) -> None:
        self._shard, self._name = shard, f"{job_id}.{secrets.token_hex(4)}"
        # Nobody else can know the random name of the folder. So until `file` was called, there is no folder to look
        # for. Most jobs have no artifacts, and each look would search the shard for a name that is not there.
        self._requested = False

    @property
    def folder(self) -> Path:
        """The path of the folder, which may not exist."""
        return self._shard / self._name

    def file(self, name: str) -> Path:
        """Return the path at which to write the artifact `name`. Raises ValueError if it is not a plain file name."""
        check_artifact_name(name)
        self._requested = True
        folder = self.folder
        folder.mkdir(mode=0o750, exist_ok=True)
        return folder / name

    def size_bytes(self) -> int:
        """Return the size of all files in the folder."""
        return sum(size for _, size in self._files())

    def seal(self) -> tuple[Artifact, ...]:
        """Hash every file and return the records in order of name. Nothing is durable yet, see `sync`.

        Raises:
            OSError: the kernel has failed to write a file. The kernel reports that once, and another worker may have
                received the report, so the sync of a group may not raise it.
            ValueError: a file has a name that JSON cannot represent.
        """
        sealed = []
        for path in sorted(path for path, _ in self._files()):
            try:
                path.name.encode()
            except UnicodeEncodeError as err:
                raise ValueError(f"the job left a file whose name is not UTF-8: {os.fsencode(path.name)!r}") from err
            with _opened(path) as file:
                durable.check_written(file.fileno())
                digest = file_digest(file, "sha256").hexdigest()
                size = os.fstat(file.fileno()).st_size
            sealed.append(Artifact(path.name, size, digest))
        return tuple(sealed)

    def sync(self) -> None:
        """Make the files and their names in the folder durable."""
        for path, _ in self._files():
            with _opened(path) as file:
                os.fsync(file.fileno())
        durable.sync_folder(self.folder)

    def readable(self) -> Iterator[Path]:
        """Yield the path of each file, after making it readable for this process."""
        for path, _ in self._files():
            _opened(path).close()
            yield path

    def discard(self) -> None:
        """Remove the folder with all its content."""
        if not self._requested:
            return
        self._unlock()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[tuple[Path, int]]:
        """Return each plain file with its size. Threads of the body may still run and remove some files meanwhile."""
        files = list[tuple[Path, int]]()
        if not self._requested:
            return files
        self._unlock()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        files.append((Path(entry.path), entry.stat(follow_symlinks=False).st_size))
        return files

    def _unlock(self) -> None:
        """Make the folder accessible for this process if the body changed its mode."""
        with suppress(OSError):  # the next read raises with the reason
            if not self.folder.is_symlink() and not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
                self.folder.chmod(0o750)


def _opened(path: Path) -> BufferedReader:
    """Open a file for reading, even if the body made it unreadable."""
    try:
        return path.open("rb")
    except PermissionError:
        path.chmod(0o640)
        return path.open("rb")
