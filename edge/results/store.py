"""Stores results as immutable files: artifacts first, the JSON last. Only a durable result is announced.

A result file is `{"sha256": HEX, "payload": {...}}`. The hash is of the bytes of the payload in the file. Each attempt
writes its artifacts into a separate folder, and the payload names that folder. So two workers that run the same job at
once cannot mix their files, and `link()` decides which result stands.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from errno import EIO
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.core import clock, durable
from edge.core.errors import TornResult
from edge.core.layout import Layout
from edge.model import Result, check_job_id, is_job_id
from edge.results.commit import Group, Written
from edge.results.staging import Staging
from edge.results.sync_choice import SyncChoice

#: Errors of decoding. A body that has raised Python's recursion limit can return a value that is nested too deeply for
#: other processes.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_READ_BYTES = 1 << 16


class _Envelope(msgspec.Struct):
    sha256: str
    payload: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope).decode
_result = msgspec.json.Decoder(Result).decode


class Results:
    """The folder of results. Workers write, every process may read. Methods raise OSError."""

    def __init__(self, layout: Layout, *, choice: SyncChoice | None = None) -> None:
        """Take the paths. `choice` decides how results become durable; the default depends on the file system."""
        self._choice = choice or SyncChoice()
        self._root = layout.results
        self._staging = layout.staging
        self._staging_text = str(layout.staging)  # names of each job are made as text: a `Path` costs ten times as much
        self._durable_folders: set[Path] = set()  # folders whose names this process has made durable
        self._shard_of: dict[str, Path] = {}
        self._group: Group | None = None  # the group of the results written since the last commit

    def path(self, job_id: str) -> Path:
        """Return the path of the result of `job_id`, which may not exist yet."""
        return self._shard(job_id) / f"{job_id}.json"

    def has(self, job_id: str) -> bool:
        """Return True if the job has ended: its result exists, or the tombstone of a removed result."""
        name = f"{self._shard(job_id)}/{job_id}"
        return _exists(f"{name}.json") or _exists(f"{name}.gone")

    def removed(self, job_id: str) -> bool:
        """Return True if the result was removed. A late redelivery must not make it again."""
        return _exists(f"{self._shard(job_id)}/{job_id}.gone")

    def read(self, job_id: str) -> Result | None:
        """Return the result after verifying its checksum, or None if there is none. Raises TornResult."""
        payload = self.read_bytes(job_id)
        return None if payload is None else self._decoded(payload, self.path(job_id))

    def read_sized(self, job_id: str) -> tuple[Result, int] | None:
        """Return the result as `read` does, and the size of the result with its artifacts in bytes."""
        content = self._content(job_id)
        if content is None:
            return None
        path = self.path(job_id)
        result = self._decoded(_payload(content, path), path)
        return result, len(content) + sum(file.size_bytes for file in result.files)

    def read_bytes(self, job_id: str) -> bytes | None:
        """Return the bytes of the payload after verifying the checksum, or None without a result. Raises TornResult."""
        content = self._content(job_id)
        return None if content is None else _payload(content, self.path(job_id))

    def _content(self, job_id: str) -> bytes | None:
        """Return the content of the file, or None if there is none.

        It is read by plain system calls, because a buffered file costs three times as much and every job is read.
        """
        try:
            fd = os.open(f"{self._shard(job_id)}/{job_id}.json", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            chunks = [os.read(fd, _READ_BYTES)]
            while len(chunks[-1]) == _READ_BYTES:
                chunks.append(os.read(fd, _READ_BYTES))
            return b"".join(chunks)
        finally:
            os.close(fd)

    def stage(self, job_id: str) -> Staging:
        """Return a folder for the artifacts of one attempt."""
        return Staging(self._folder(self._shard(job_id)), job_id)

    def publish(self, result: Result, staging: Staging | None = None) -> bool:
        """Publish `result`, durable on return. Any thread may call it.

        Returns:
            True if `result` is now the result of the job. False if another attempt was first or the result was removed
            meanwhile; then `result` is discarded.

        Raises:
            OSError: do not acknowledge the attempt. The result is not published, or it is published and not durable
                yet; see `has`.
            ValueError: a file of the job has a name that JSON cannot represent.
        """
        with closing(Group(self._folder(self._staging), self._choice)) as group:
            outcome = self._committed(group, [self._written(result, staging)])[0]
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def write(self, result: Result, staging: Staging | None = None) -> Written:
        """Write `result` for a later `commit`. Nothing is durable yet. Only the thread that commits may call it.

        Raises:
            OSError: the disk refuses the write; no file is left.
            ValueError: a file of the job has a name that JSON cannot represent.
        """
        if self._group is None:
            self._group = Group(self._folder(self._staging), self._choice)
        return self._written(result, staging)

    def commit(self, members: Sequence[Written]) -> list[OSError | None]:
        """Make the results of `write` durable together and announce them. Only the thread that wrote may call it.

        If the disk refuses the group, each member is tried again alone.

        Returns:
            For each member None if its job has its one durable result, this one or an earlier one. Otherwise the error,
            and the attempt must not be acknowledged. Then the result is not published, or it is published and not
            durable yet; see `has`. A member with artifacts is not tried again after a failed sync: its files may be
            readable from memory and be lost on the disk, so the body must run again.
        """
        group, self._group = self._group, None
        if group is None:
            group = Group(self._folder(self._staging), self._choice)
        with closing(group):
            outcomes = self._committed(group, members)
        if len(members) > 1:
            outcomes = [
                self._alone(member) if isinstance(outcome, OSError) else outcome
                for member, outcome in zip(members, outcomes, strict=True)
            ]
        return [outcome if isinstance(outcome, OSError) else None for outcome in outcomes]

    def _written(self, result: Result, staging: Staging | None) -> Written:
        shard = self._folder(self._shard(result.id))
        if staging is not None:
            files = staging.seal()
            if files:
                result = msgspec.structs.replace(result, files=files, folder=staging.folder.name)
        payload = msgspec.json.encode(result)
        content = b'{"sha256":"%s","payload":%s}\n' % (sha256(payload).hexdigest().encode(), payload)
        name = f"{result.id}.json"
        private = f"{self._staging_text}/{durable.private(name)}"
        durable.write(private, content)
        return Written(
            result=result,
            size_bytes=len(content),
            private=private,
            path=f"{shard}/{name}",
            notice=f"{self._staging_text}/{name}",
            shard=shard,
            staging=staging,
        )

    def _committed(self, group: Group, members: Sequence[Written]) -> list[bool | OSError]:
        """Commit the members, then remove the private and temporary files of each."""
        removed = frozenset(member.result.id for member in members if self.removed(member.result.id))
        outcomes = group.commit(members, removed)
        for member, outcome in zip(members, outcomes, strict=True):
            if isinstance(outcome, OSError):
                member.discard()
            elif outcome:
                if member.result.attempts > 1:
                    self._drop_folders(member.result.id, keep=member.result.folder)
            else:
                if member.result.id in removed:
                    self.announce(member.result.id)
                if member.staging is not None:
                    member.staging.discard()
        return outcomes

    def _alone(self, member: Written) -> bool | OSError:
        """Commit one member of a failed group again. A result that exists already stays, and is made durable."""
        try:
            if self.has(member.result.id):
                self.announce(member.result.id)
                return True
            if member.has_files:
                return OSError(EIO, f"the files of job {member.result.id} could not be made durable")
            return self.publish(member.result)
        except OSError as err:
            return err

    def confirm(self, job_id: str) -> None:
        """Make a result durable that was read before its announcement, so that readers never see another one later."""
        durable.sync_folder(self._shard(job_id))

    def announce(self, job_id: str) -> None:
        """Announce again to the watchers of the staging folder that a durable result or tombstone exists."""
        self._folder(self._staging)
        durable.sync_folder(self._folder(self._shard(job_id)))
        notice = self._staging / (f"{job_id}.gone" if self.removed(job_id) else f"{job_id}.json")
        notice.touch()
        notice.unlink(missing_ok=True)

    def artifact(self, result: Result, name: str) -> Path:
        """Return the path of an artifact of `result`. Raises KeyError if it has none of that name."""
        if name not in {file.name for file in result.files}:
            raise KeyError(name)
        return self._shard(result.id) / result.folder / name

    def remove(self, job_id: str) -> None:
        """Remove the result and its artifacts. A tombstone is made durable before any file is removed, and stays.

        The removal is announced last, so a process that has seen the announcement never sees the result again.
        """
        shard = self._folder(self._shard(job_id))
        self._folder(self._staging)
        durable.publish(self._tombstone(job_id), b"", temp=self._staging / f"{job_id}.tombstone")
        self._clear(job_id)
        durable.sync_folder(shard)
        self.announce(job_id)

    def recover(self, *, forget_before: float | None = None) -> None:
        """Finish the steps that a crash interrupted: announce published results, delete others, complete removals.

        Tombstones made before `forget_before` (seconds since the epoch) are removed too: no message comes so late, and
        each tombstone needs an inode. None keeps all tombstones, for a clock that cannot be trusted. A tombstone with
        a date that is not plausible, such as 1970, also stays.
        """
        self._folder(self._staging)
        self._lay_out()
        for shard, names in self.shards():
            self._durable_folders.add(shard)
            removed = {name[:-5] for name in names if name.endswith(".gone") and is_job_id(name[:-5])}
            left = {job_id for name in names if not name.endswith(".gone") and (job_id := name.rpartition(".")[0])}
            half_removed = removed & left
            if forget_before is not None:
                _forget([shard / f"{job_id}.gone" for job_id in removed - left], before=forget_before)
            for job_id in half_removed:
                self._clear(job_id)
            if half_removed:
                durable.sync_folder(shard)
        for temp in self._staging.iterdir():
            if not durable.abandoned(temp):
                continue
            with suppress(ValueError):
                job_id = check_job_id(temp.name.rpartition(".")[0])
                if self.has(job_id):
                    durable.sync_folder(self._folder(self._shard(job_id)))
            temp.unlink(missing_ok=True)

    def _lay_out(self) -> None:
        """Make the folders for generated ids, and their names durable with one sync.

        Otherwise the first job in each folder would cost two syncs after each start of a worker.
        """
        for number in range(256):
            try:
                os.mkdir(f"{self._root}/{number:02x}", 0o770)  # noqa: PTH102 - many at each start
            except FileExistsError:
                continue
            except OSError:  # a full card; the first result that needs the folder reports it
                break
        durable.sync_folder(self._root)

    def ids(self) -> Iterator[str]:
        """Yield every id that has a result, in no order. Removed results are left out, even if some files remain."""
        for _, names in self.shards():
            ended = {name[:-5] for name in names if name.endswith(".json")}
            yield from (job_id for job_id in ended if f"{job_id}.gone" not in names and is_job_id(job_id))

    def shards(self) -> Iterator[tuple[Path, set[str]]]:
        """Yield each folder of results with the names in it."""
        if self._root.is_dir():
            for shard in self._root.iterdir():
                if shard.is_dir() and not shard.name.startswith("."):
                    yield shard, {path.name for path in shard.iterdir()}

    def _clear(self, job_id: str) -> None:
        """Remove all files of a result except its tombstone."""
        self.path(job_id).unlink(missing_ok=True)
        self._drop_folders(job_id)

    def _shard(self, job_id: str) -> Path:
        name = check_job_id(job_id)[:2].rstrip(".")
        shard = self._shard_of.get(name)
        if shard is None:
            shard = self._shard_of[name] = self._root / name
        return shard

    def _tombstone(self, job_id: str) -> Path:
        return self._shard(job_id) / f"{job_id}.gone"

    def _folder(self, folder: Path) -> Path:
        """Make `folder` and its name durable, once in each process, because its maker may have died before its sync."""
        if folder not in self._durable_folders or not folder.is_dir():
            if folder != self._root:
                self._folder(self._root)
            durable.make_folder(folder)
            durable.sync_folder(folder.parent)
            self._durable_folders.add(folder)
        return folder

    def _drop_folders(self, job_id: str, *, keep: str = "") -> None:
        """Remove the artifact folders of all attempts, except the folder `keep`."""
        pattern = re.compile(re.escape(job_id) + r"\.[0-9a-f]{8}")
        for path in self._shard(job_id).glob(f"{job_id}.*"):
            if path.name != keep and pattern.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    @staticmethod
    def _decoded(payload: bytes, path: Path) -> Result:
        try:
            return _result(payload)
        except _UNREADABLE as err:
            raise TornResult(path, f"not a result: {err}") from err


def _payload(content: bytes, path: Path) -> bytes:
    """Return the payload in the bytes of a result's file after verifying its checksum. Raises TornResult."""
    try:
        envelope = _envelope(content)
    except _UNREADABLE as err:
        raise TornResult(path, f"not a result: {err}") from err
    payload = bytes(envelope.payload)
    if sha256(payload).hexdigest() != envelope.sha256:
        raise TornResult(path, "the payload does not match its SHA-256")
    return payload


def _exists(path: str) -> bool:
    """Return True if `path` exists. Raises OSError.

    Path.exists costs three times as much, and each job needs the answer twice.
    """
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _forget(tombstones: Iterable[Path], *, before: float) -> None:
    """Remove the tombstones made before a time, if their own time is plausible."""
    for tombstone in tombstones:
        with suppress(FileNotFoundError):
            made_at = tombstone.stat().st_mtime
            if clock.plausible(made_at) and made_at < before:
                tombstone.unlink()
