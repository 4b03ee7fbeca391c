"""Passes spawned jobs from a worker to the gateway in files `spawned/PARENT.NUMBER.HEX.json`.

A file there is accepted work. The gateway puts its jobs into the ledger and moves it to `taken/`. From there another
attempt of the parent learns which jobs were spawned before, and a rebuilt ledger gets its jobs back.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.layout import Layout
from edge.model import SpawnedJobs, check_job_id, is_job_id

_NAME = re.compile(r"(.+)\.\d{6}\.[0-9a-f]{8}\.json")
#: Largest file that is read. A worker ends a file at 1 MiB plus one more job of 4 MiB at most, and JSON may grow when
#: it is encoded again.
_MOST_BYTES = 64 << 20


class Unreadable(ValueError):
    """A file of spawned jobs that cannot be decoded."""


def parent_of(name: str) -> str:
    """Return the id of the parent in a file name, or an empty string if it is not the name of such a file."""
    found = _NAME.fullmatch(name)
    return found[1] if found is not None and is_job_id(found[1]) else ""


class SpawnedFiles:
    """The folder of spawned jobs. Workers write the files, the gateway takes them. Methods raise OSError."""

    def __init__(self, layout: Layout) -> None:
        self._folder, self._taken = layout.spawned, layout.spawned_taken

    # --- a worker -----------------------------------------------------------------------------------------

    def known(self, parent: str) -> list[SpawnedJobs]:
        """Return the jobs that earlier attempts of `parent` spawned, in order. An unreadable file is left out."""
        found = list[SpawnedJobs]()
        for name in self._of(parent):
            with suppress(Unreadable):
                found.append(self.read(name))
        return found

    def write(self, spawned: SpawnedJobs, *, number: int) -> None:
        """Write a file, durable on return. `number` orders the files of one parent.

        Each file has a unique name, because two attempts of one job may run at once and spawn the same jobs.
        """
        name = f"{check_job_id(spawned.id)}.{number:06d}.{secrets.token_hex(4)}.json"
        durable.make_folder(self._taken)
        durable.replace(self._folder / name, msgspec.json.encode(spawned), shared=True)

    # --- the gateway --------------------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        """Return the names of the files that were not taken, with the files of one parent in order."""
        return _names(self._folder)

    def taken(self) -> list[str]:
        """Return the names of the files that were taken."""
        return _names(self._taken)

    def read(self, name: str) -> SpawnedJobs:
        """Return the content of a file, taken or not. Raises FileNotFoundError, Unreadable, OSError."""
        try:
            content = _content(self._folder / name)
        except FileNotFoundError:
            content = _content(self._taken / name)  # the gateway took it just now
        try:
            spawned = stored.decoded(content, SpawnedJobs)
        except stored.BadContent as err:
            raise Unreadable(f"{name}: {err}") from err
        if spawned.id != parent_of(name):
            raise Unreadable(f"{name}: it names the job {spawned.id[:80]!r}")
        return spawned

    def take(self, name: str) -> None:
        """Move a file to `taken/`, because the ledger has its jobs. Not synced: taking a file twice changes nothing."""
        with suppress(FileNotFoundError):
            (self._folder / name).rename(self._taken / name)

    def forget(self, name: str) -> None:
        """Remove a file that was taken."""
        (self._taken / name).unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folders, and remove the temporary files of interrupted writes."""
        durable.make_folder(self._taken)
        for temp in self._folder.glob(".*.tmp"):
            if durable.abandoned(temp):
                temp.unlink(missing_ok=True)

    def _of(self, parent: str) -> list[str]:
        """Return the names of the files of `parent`, sorted.

        Files that were not taken are listed first. So a file that is taken meanwhile is listed twice and not missed.
        """
        names = {*self.waiting(), *self.taken()}
        return sorted(name for name in names if parent_of(name) == parent)


def _content(path: Path) -> bytes:
    """Return the content of a file. Raises OSError, or Unreadable if a worker cannot have written it.

    Reading a pipe would block without end, and a file of gigabytes would fill the memory. Both would stop the gateway
    from taking further files.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise Unreadable(f"{path.name}: it is not a plain file") from err
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{path.name}: it is not a plain file")
        if found.st_size > _MOST_BYTES:
            raise Unreadable(f"{path.name}: it has {found.st_size} bytes, more than {_MOST_BYTES}")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(fd)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if parent_of(path.name))
    except FileNotFoundError:
        return []
