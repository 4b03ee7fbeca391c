"""Makes one result or several results durable, with one commit of the disk's journal or two syncs for all of them.

The order of steps is the same for one and for several. It guarantees one complete result after any power cut:

1. Each result is written under a private name, and its artifacts in a folder. Nothing is durable yet.
2. All this content is made durable, or passed to a disk that makes no later name durable without it.
3. Each file is linked to its final name. `link()` never replaces, so the first result of a job stands.
4. These names are made durable, together with content that was only passed on before.
5. The private names are removed, which is the announcement. So no result is announced that a power cut could remove.

A link before step 2 could become a name without content after a power cut. An announcement before the end of step 4
could name a result that a power cut then removes. `sync_choice` decides which system calls steps 2 and 4 make.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.core import durable, ordered
from edge.model import Result
from edge.results.staging import Staging
from edge.results.sync_choice import SyncChoice, Way


class Written(msgspec.Struct, frozen=True, eq=False):
    """A result that is written under a private name and not durable yet.

    It belongs to the process that made it, and ends with `commit` or `discard`.
    """

    result: Result
    size_bytes: int
    private: str  # its private name, in the staging folder
    path: str  # its final name
    notice: str  # the name whose removal announces the result
    shard: Path  # the folder of `path` and of the artifacts
    staging: Staging | None = None

    @property
    def has_files(self) -> bool:
        """True if the job left artifacts."""
        return bool(self.result.files)

    def discard(self) -> None:
        """Remove the private name. A final name that was linked before stays."""
        with suppress(OSError):
            os.unlink(self.private)  # noqa: PTH108 - once for each job


class Group:
    """Commits results together. One thread uses it, and opens it before the first of its members is written."""

    def __init__(self, folder: Path, choice: SyncChoice) -> None:
        """Start a group on the file system of `folder`; `choice` decides how it is committed. Raises OSError."""
        self._choice = choice
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self._identity = found.st_dev, found.st_ino

    def close(self) -> None:
        """Close the descriptor of the file system. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and self._is_ours(fd):
            os.close(fd)

    def commit(self, members: Sequence[Written], removed: frozenset[str] = frozenset()) -> list[bool | OSError]:
        """Make `members` durable and announce them. Jobs in `removed` have a tombstone and get no result.

        Returns:
            For each member True if its result is published, False if the job has an earlier result or a tombstone, or
            the error of the disk. After an error the result does not exist, or it exists and is not durable yet.
        """
        way = self._choice.way(self._identity[0], len(members))
        try:
            self._sync_content(way, members)
        except OSError as err:
            return [err] * len(members)
        linked = [_link(member, removed) for member in members]
        try:
            self._sync_names(way, members)
        except OSError as err:
            return [err] * len(members)
        return [_announced(member, ours) for member, ours in zip(members, linked, strict=True)]

    def _sync_content(self, way: Way, members: Sequence[Written]) -> None:
        match way:
            case Way.ORDERED:
                ordered.write_out(path for member in members for path in _contents(member))
            case Way.TOGETHER:
                self._sync()
            case Way.APART:
                for member in members:
                    if member.has_files and member.staging is not None:
                        member.staging.sync()
                        durable.sync_folder(member.shard)
                    durable.sync_file(Path(member.private))

    def _sync_names(self, way: Way, members: Sequence[Written]) -> None:
        if way is Way.TOGETHER:
            self._sync()
            return
        for shard in dict.fromkeys(member.shard for member in members):
            durable.sync_folder(shard)

    def _sync(self) -> None:
        if not self._is_ours(self._fd):  # a job has closed the descriptor, and its number may belong to another file
            raise OSError(errno.EBADF, "the descriptor of the results' file system was closed by a job")
        began_s = time.monotonic()
        durable.sync_file_system(self._fd)
        self._choice.took(time.monotonic() - began_s)

    def _is_ours(self, fd: int) -> bool:
        try:
            found = os.fstat(fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity


def _contents(member: Written) -> Iterator[Path | str]:
    """Yield every file of a result, by its present name."""
    if member.has_files and member.staging is not None:
        yield from member.staging.readable()
    yield member.private


def _link(member: Written, removed: frozenset[str]) -> bool | OSError:
    if member.result.id in removed:
        return False
    try:
        return durable.link(member.private, member.path)
    except OSError as err:
        return err


def _announced(member: Written, ours: bool | OSError) -> bool | OSError:
    """Announce a result: rename its private name to the notice, then remove the notice. Watchers see the removal."""
    if isinstance(ours, OSError):
        return ours
    try:
        os.replace(member.private, member.notice)  # noqa: PTH105 - once for each job
        with suppress(FileNotFoundError):  # two publishers of one job share the notice
            os.unlink(member.notice)  # noqa: PTH108 - the same
    except OSError as err:
        return err
    return ours
