"""Results as immutable files: artifacts first, the JSON last, and only a durable result is announced.

A result file is `{"sha256": HEX, "payload": {...}}`: the hash is of the payload's bytes as they stand.
Each attempt puts its artifacts in a folder of its own, which the payload names, so that two workers that
run the same job at once cannot mix their files: `link()` decides whose result stands.
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

#: A body that raised Python's recursion limit can return a value that no other process can decode.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_READ_BYTES = 1 << 16


class _Envelope(msgspec.Struct):
    sha256: str
    payload: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope).decode
_result = msgspec.json.Decoder(Result).decode


class Results:
    """The result folder. Workers write; everyone may read. Methods raise OSError when the disk does."""

    def __init__(self, layout: Layout, *, choice: SyncChoice | None = None) -> None:
        """`choice` decides how results become durable; by default the file system does."""
        self._choice = choice or SyncChoice()
        self._root = layout.results
        self._staging = layout.staging
        self._durable_folders: set[Path] = set()  # folders whose names this process has made durable
        self._shard_of: dict[str, Path] = {}
        self._group: Group | None = None  # what was written since the last commit belongs to it

    def path(self, job_id: str) -> Path:
        """Where the result of `job_id` is or will be."""
        return self._shard(job_id) / f"{job_id}.json"

    def has(self, job_id: str) -> bool:
        """True when the job is over: its result, or the tombstone of a removed one, is there."""
        return _there(f"{self._shard(job_id)}/{job_id}.json") or self.removed(job_id)

    def removed(self, job_id: str) -> bool:
        """True when the result was removed; a late redelivery must not bring it back."""
        return _there(f"{self._shard(job_id)}/{job_id}.gone")

    def read(self, job_id: str) -> Result | None:
        """The result, its checksum verified; None when there is none. Raises TornResult."""
        payload = self.read_bytes(job_id)
        return None if payload is None else self._decoded(payload, self.path(job_id))

    def read_sized(self, job_id: str) -> tuple[Result, int] | None:
        """As `read`, with the bytes that the result and its artifacts take."""
        content = self._content(job_id)
        if content is None:
            return None
        path = self.path(job_id)
        result = self._decoded(_payload(content, path), path)
        return result, len(content) + sum(file.size_bytes for file in result.files)

    def read_bytes(self, job_id: str) -> bytes | None:
        """The payload as it stands in the file, its checksum verified. Raises TornResult."""
        content = self._content(job_id)
        return None if content is None else _payload(content, self.path(job_id))

    def _content(self, job_id: str) -> bytes | None:
        """The file's bytes, read by plain calls: a buffered file costs three times as much, and each job asks."""
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
        """A place for the artifacts of one attempt."""
        return Staging(self._folder(self._shard(job_id)), job_id)

    def publish(self, result: Result, staging: Staging | None = None) -> bool:
        """Publish `result`, durable on return; True when it is the one that stands.

        False: another attempt was first, or the result was removed meanwhile; this one is discarded. Any thread may
        call it.

        Raises:
            OSError: do not acknowledge the attempt. Nothing is published, or it is but not safe yet; see `has`.
            ValueError: a file of the job has a name that JSON cannot represent.
        """
        with closing(Group(self._folder(self._staging), self._choice)) as group:
            outcome = self._committed(group, [self._written(result, staging)])[0]
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def write(self, result: Result, staging: Staging | None = None) -> Written:
        """Write `result` for a later `commit`; nothing is durable yet. For the thread that commits.

        Raises:
            OSError: the disk takes no more; nothing of it is left.
            ValueError: a file of the job has a name that JSON cannot represent.
        """
        if self._group is None:
            self._group = Group(self._folder(self._staging), self._choice)
        return self._written(result, staging)

    def commit(self, members: Sequence[Written]) -> list[OSError | None]:
        """Make what `write` wrote durable and announce it, all together. For the thread that wrote.

        When the disk refuses the group, each member is tried alone.

        Returns:
            For each member None when its job has its one durable result, this one or an earlier one. Else the error:
            the attempt must not be acknowledged. Nothing of the result is published, or it is but not safe yet; see
            `has`. A member with files whose content could not be synced is not tried again here: the files may
            read well from memory and be lost on the disk, so the body has to run again.
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
        notice = self._staging / f"{result.id}.json"
        private = str(durable.private_name(notice))
        durable.write(private, content)
        return Written(
            result=result,
            size_bytes=len(content),
            private=private,
            path=f"{shard}/{result.id}.json",
            notice=str(notice),
            shard=shard,
            staging=staging,
        )

    def _committed(self, group: Group, members: Sequence[Written]) -> list[bool | OSError]:
        """Commit, then tidy up after each member."""
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
        """Try a member of a group that failed; a name that is there already stands, and is made durable."""
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
        """Make a result durable that was read before its announcement, so a reader never sees another one later."""
        durable.sync_folder(self._shard(job_id))

    def announce(self, job_id: str) -> None:
        """Tell the watchers of the staging folder again that a durable result (or tombstone) is there."""
        self._folder(self._staging)
        durable.sync_folder(self._folder(self._shard(job_id)))
        notice = self._staging / (f"{job_id}.gone" if self.removed(job_id) else f"{job_id}.json")
        notice.touch()
        notice.unlink(missing_ok=True)

    def artifact(self, result: Result, name: str) -> Path:
        """Path of an artifact of `result`; raises KeyError when it has none of that name."""
        if name not in {file.name for file in result.files}:
            raise KeyError(name)
        return self._shard(result.id) / result.folder / name

    def remove(self, job_id: str) -> None:
        """Remove the result and its artifacts for good, leaving a tombstone that is durable before anything goes.

        The watchers are told last: whoever learned that a result is removed never sees it again.
        """
        shard = self._folder(self._shard(job_id))
        self._folder(self._staging)
        durable.publish(self._tombstone(job_id), b"", temp=self._staging / f"{job_id}.tombstone")
        self._clear(job_id)
        durable.sync_folder(shard)
        self.announce(job_id)

    def recover(self, *, forget_before: float | None = None) -> None:
        """Finish what a crash left half done: announce what was published, drop what was not, end what was removed.

        Tombstones made before `forget_before` (seconds since the epoch) are removed too: no message is that late, and
        each takes an inode. None keeps all, when the clock cannot be trusted. A tombstone dated 1970 also stays.
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
        """Make the folders for the ids that we generate, and their names durable with one sync.

        Otherwise the first job in each folder would cost two syncs, after each start of a worker.
        """
        for number in range(256):
            try:
                os.mkdir(f"{self._root}/{number:02x}", 0o770)  # noqa: PTH102 - many at each start
            except FileExistsError:
                continue
            except OSError:  # a full card; whoever needs the folder says so
                break
        durable.sync_folder(self._root)

    def ids(self) -> Iterator[str]:
        """Every id that has a result, in no order; removed ones do not, whatever a crash left of them."""
        for _, names in self.shards():
            ended = {name[:-5] for name in names if name.endswith(".json")}
            yield from (job_id for job_id in ended if f"{job_id}.gone" not in names and is_job_id(job_id))

    def shards(self) -> Iterator[tuple[Path, set[str]]]:
        """Each folder of results with the names in it."""
        if self._root.is_dir():
            for shard in self._root.iterdir():
                if shard.is_dir() and not shard.name.startswith("."):
                    yield shard, {path.name for path in shard.iterdir()}

    def _clear(self, job_id: str) -> None:
        """Remove all of a result but its tombstone."""
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
        """Make `folder` and its name durable, once per process: its maker may have died before its sync."""
        if folder not in self._durable_folders or not folder.is_dir():
            if folder != self._root:
                self._folder(self._root)
            durable.make_folder(folder)
            durable.sync_folder(folder.parent)
            self._durable_folders.add(folder)
        return folder

    def _drop_folders(self, job_id: str, *, keep: str = "") -> None:
        """Remove the artifact folders of attempts that were cut short, or of all."""
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
    """The payload in the bytes of a result's file, its checksum verified. Raises TornResult."""
    try:
        envelope = _envelope(content)
    except _UNREADABLE as err:
        raise TornResult(path, f"not a result: {err}") from err
    payload = bytes(envelope.payload)
    if sha256(payload).hexdigest() != envelope.sha256:
        raise TornResult(path, "the payload does not match its SHA-256")
    return payload


def _there(path: str) -> bool:
    """True when `path` exists. Path.exists costs three times as much, and each job calls it twice. Raises OSError."""
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _forget(tombstones: Iterable[Path], *, before: float) -> None:
    """Remove the tombstones made before a time, if the clock was plausible then."""
    for tombstone in tombstones:
        with suppress(FileNotFoundError):
            made_at = tombstone.stat().st_mtime
            if clock.plausible(made_at) and made_at < before:
                tombstone.unlink()
