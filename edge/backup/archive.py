"""Reads and writes the file of a backup: a tar whose last member lists every other member with its SHA-256.

So a file that is truncated or damaged is recognised.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec

from edge.core import durable, stored
from edge.core.errors import EdgeError, UsageError

MANIFEST = "MANIFEST.json"
_FORMAT = 1
_MANIFEST_MOST = 1 << 30
#: `advance(files, bytes)`: reports how many files and bytes were packed or unpacked since the last call.
Advance = Callable[[int, int], None]


class BadArchive(EdgeError, ValueError):
    """The file is not a whole backup. Nothing was changed."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"backup {path}: {why}; nothing was changed")


class Member(msgspec.Struct, frozen=True):
    """A file of the archive."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Describes the archive: the board it comes from, the number of its jobs, and its members."""

    version: str  # of edge
    made_at: float  # Unix time, by the clock of the board
    host: str
    jobs: int
    open_jobs: int
    members: tuple[Member, ...] = ()
    format: int = _FORMAT


class _Hashed:
    """Reads a file and hashes its bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.hash, self.size = file, sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, as a file does."""
        data = self._file.read(size)
        self.hash.update(data)
        self.size += len(data)
        return data


class Packer:
    """Writes the members of an archive, one after the other."""

    def __init__(self, tar: tarfile.TarFile, advance: Advance) -> None:
        self._tar, self._advance = tar, advance
        self.members: list[Member] = []

    def folder(self, path: Path, name: str) -> None:
        """Add the folder itself with its owner and mode, without its content."""
        info = self._tar.gettarinfo(path, name)
        self._tar.addfile(info)

    def file(self, path: Path, name: str) -> None:
        """Add the file as it is now. Raises OSError if it is missing, or shrinks while it is read."""
        with path.open("rb") as file:
            info = self._tar.gettarinfo(arcname=name, fileobj=file)
            if not info.isreg():  # tarfile makes a link of the second name of a file; here it must be a file
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", os.fstat(file.fileno()).st_size
            hashed = _Hashed(file)
            self._tar.addfile(info, hashed)  # it calls only read()
        # tarfile keeps a list of all members: a hundred thousand take too much memory on a small board.
        self._tar.members.clear()  # type: ignore[attr-defined]
        self.members.append(Member(name, hashed.size, hashed.hash.hexdigest()))
        self._advance(1, hashed.size)

    def end(self, manifest: Manifest) -> None:
        """Add the list of all members, as the last member."""
        content = msgspec.json.encode(msgspec.structs.replace(manifest, members=tuple(self.members)))
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(content), 0o600
        self._tar.addfile(info, BytesIO(content))


@contextmanager
def packing(path: Path, *, advance: Advance, replace: bool = False) -> Iterator[Packer]:
    """Make the archive `path`, which is whole and durable at the end of the block.

    If packing fails there is no new archive, and an earlier file of this name has not changed. Only its owner can read
    the archive. It is compressed if its name ends in gz.

    Raises UsageError if the file exists and `replace` is not set, OSError.
    """
    if path.exists() and not replace:
        raise UsageError(f"{path} is there already; choose another name, or --force to replace it")
    temp = path.with_name(f".{path.name}.part")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as raw:
            zipped = path.name.endswith("gz")
            with (
                tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1)
                if zipped
                else tarfile.open(fileobj=raw, mode="w") as tar
            ):
                yield Packer(tar, advance)
            raw.flush()
            os.fsync(raw.fileno())
        temp.replace(path)
        durable.sync_folder(path.parent)
    finally:
        temp.unlink(missing_ok=True)


def unpack(path: Path, into: Path, *, allowed: Callable[[str], bool], advance: Advance) -> Manifest:
    """Unpack every member into the empty folder `into`, and check each against the list. Return the manifest.

    As root, each file gets its old owner if that user exists here, otherwise the owner of its folder.

    Args:
        path: the archive.
        into: the folder for the members.
        allowed: returns True for a name that a backup may have.
        advance: called after each file.

    Raises:
        BadArchive: the archive is not whole, is damaged, or was made by a newer version.
        OSError: the disk cannot be read or written.
    """
    found: dict[str, Member] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(path, "r:*") as tar:
            for info in tar:
                tar.members.clear()  # type: ignore[attr-defined] # see `Packer.file`
                name = info.name
                file = tar.extractfile(info) if info.isreg() else None
                if name == MANIFEST and file is not None and info.size < _MANIFEST_MOST:
                    manifest = stored.decoded(file.read(), Manifest)
                elif not allowed(name) or not (info.isdir() or file is not None) or name in found:
                    raise BadArchive(path, f"it holds {name[:80]!r}, which no backup does")
                else:
                    target = into / name
                    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                    if file is None:
                        target.mkdir(mode=0o750, exist_ok=True)
                    else:
                        found[name] = _written(file, target, name)
                        advance(1, info.size)
                    _set_owner(target, info)
    except (tarfile.TarError, EOFError, stored.BadContent) as err:
        raise BadArchive(path, f"it cannot be read: {err or type(err).__name__}") from err
    if manifest is None:
        raise BadArchive(path, "it has no list of its files at the end, so it is truncated")
    if manifest.format > _FORMAT:
        raise BadArchive(path, f"it was made by edge {manifest.version}, which is newer than this one")
    wrong = {member.name for member in manifest.members} ^ found.keys()
    wrong |= {member.name for member in manifest.members if member != found.get(member.name)}
    if wrong:
        raise BadArchive(path, f"{len(wrong)} of its files are missing or damaged, such as {min(wrong)}")
    return manifest


def _written(file: IO[bytes], target: Path, name: str) -> Member:
    hashed = _Hashed(file)
    with target.open("xb") as out:
        while data := hashed.read(1 << 20):
            out.write(data)
    return Member(name, hashed.size, hashed.hash.hexdigest())


def _set_owner(target: Path, info: tarfile.TarInfo) -> None:
    """Give `target` the owner (as root only) and the mode of the member."""
    if os.geteuid() == 0:
        import grp
        import pwd

        try:
            uid, gid = pwd.getpwnam(info.uname).pw_uid, grp.getgrnam(info.gname).gr_gid
        except KeyError:
            uid, gid = target.parent.stat().st_uid, target.parent.stat().st_gid
        os.chown(target, uid, gid)
    target.chmod(info.mode & 0o2770)
