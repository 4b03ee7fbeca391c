"""Packs the state of a board into a backup, in an order that is consistent while everything runs.

The ledger is packed first. If a job ends after that, its result is in the archive, and is found after the restore. In
the other order, the ledger could say that a job has ended, but its result would be missing in the archive.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from edge import __version__
from edge.backup.archive import Advance, Manifest, Packer, packing
from edge.config import Loaded
from edge.core.errors import EdgeError, UsageError, not_none
from edge.core.layout import Layout
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import copies
from edge.results.inputs import Inputs
from edge.results.store import Results

CONFIG = "config/edge.yaml"
_SQLITE = b"SQLite format 3\0"


def backup(loaded: Loaded, target: Path, *, advance: Advance, replace: bool = False) -> Manifest:
    """Pack the state of the board into `target`. Jobs may be accepted, run and end meanwhile.

    Args:
        loaded: the configuration of the board.
        target: the archive to make.
        advance: called after each file.
        replace: allow to replace an existing file.

    Raises:
        UsageError: the board is a node, there is no ledger, or `target` exists and `replace` is not set.
        StorageError, OSError: the disk cannot be read or written.
    """
    layout = loaded.config.layout
    if loaded.config.node.head_url is not None:
        raise UsageError(f"this board keeps no jobs of its own: back up its head, {loaded.config.node.head_url}")
    if not layout.ledger.exists():
        raise UsageError(f"{layout.root} holds no ledger, so there is nothing to back up")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as spare:
        copied = Path(spare) / layout.ledger.name
        copies.copy(layout.ledger, copied)
        mark = not_none(copies.mark(copied), "the mark of the ledger's copy")
        _copy_metadata(copied, layout.ledger)
        manifest = Manifest(__version__, time.time(), platform.node(), mark.jobs, mark.open_jobs)
        with packing(target, advance=advance, replace=replace) as packer:
            packer.file(copied, layout.ledger.name)
            _files(packer, layout, copied)
            _results(packer, layout)
            for folder in (
                *(layout.attempts, layout.checkpoints, layout.spawned, layout.spawned_taken, layout.days),
                layout.paired.parent,
                layout.activity,
            ):
                _json_files(packer, layout, folder)
            _tasks(packer, layout, Path(spare))
            for path in (layout.tokens, layout.pause):
                with suppress(FileNotFoundError):
                    packer.file(path, os.fspath(path.relative_to(layout.root)))
            if loaded.path is not None:
                packer.file(loaded.path, CONFIG)
            packer.end(manifest)
    return manifest


def _files(packer: Packer, layout: Layout, ledger: Path) -> None:
    """Pack the input files of the open jobs and the schedules in this ledger. Jobs that have ended need none."""
    inputs = Inputs(layout.files)
    with closing(LedgerReader.open(ledger)) as reader:
        wanted = reader.wanted_files() & set(inputs.stored())
    if wanted:
        packer.folder(layout.files, "files")
    for sha256 in sorted(wanted):
        with suppress(FileNotFoundError):  # the jobs that need it have ended meanwhile
            packer.file(inputs.path(sha256), f"files/{sha256}")


def _results(packer: Packer, layout: Layout) -> None:
    """Pack results and tombstones, and the files of a result before the result itself. Skip unfinished attempts."""
    if not layout.results.is_dir():
        return
    results = Results(layout)
    packer.folder(layout.results, "results")
    for shard in _sorted(layout.results):
        if not shard.is_dir() or shard.name.startswith("."):
            continue
        packer.folder(shard, f"results/{shard.name}")
        for path in _sorted(shard):
            name = f"results/{shard.name}/{path.name}"
            with suppress(FileNotFoundError):  # removed meanwhile
                if path.suffix == ".json":
                    _artifacts(packer, results, path.stem, shard)
                    packer.file(path, name)
                elif path.suffix == ".gone":
                    packer.file(path, name)


def _artifacts(packer: Packer, results: Results, job_id: str, shard: Path) -> None:
    try:
        result = results.read(job_id)
    except EdgeError:  # a damaged result is packed as it is, without its files, because their names are not known
        return
    if result is None or not result.files:
        return
    packer.folder(shard / result.folder, f"results/{shard.name}/{result.folder}")
    for artifact in result.files:
        packer.file(shard / result.folder / artifact.name, f"results/{shard.name}/{result.folder}/{artifact.name}")


def _json_files(packer: Packer, layout: Layout, folder: Path) -> None:
    """Pack the JSON files directly in a folder."""
    if not folder.is_dir():
        return
    packer.folder(folder, os.fspath(folder.relative_to(layout.root)))
    for path in _sorted(folder):
        # Pack regular files only: edge makes no links, and reading a pipe would block forever.
        if path.suffix == ".json" and not path.name.startswith(".") and not path.is_symlink() and path.is_file():
            with suppress(FileNotFoundError):  # the job has ended meanwhile
                packer.file(path, os.fspath(path.relative_to(layout.root)))


def _tasks(packer: Packer, layout: Layout, spare: Path) -> None:
    """Pack the files that kinds of job keep between jobs.

    A job may write them meanwhile, so an SQLite database is copied by SQLite itself, and any other file is copied first
    and packed from the copy.
    """
    if not layout.tasks.is_dir():
        return
    packer.folder(layout.tasks, "tasks")
    for path in _below(layout.tasks):
        name = os.fspath(path.relative_to(layout.root))
        if path.is_dir():
            packer.folder(path, name)
        elif path.is_file() and not path.name.endswith(("-wal", "-shm", "-journal")):
            still = spare / "task"
            with suppress(FileNotFoundError):
                with path.open("rb") as file:
                    database = file.read(len(_SQLITE)) == _SQLITE
                if database:
                    copies.copy(path, still)
                else:
                    shutil.copyfile(path, still)
                _copy_metadata(still, path)
                packer.file(still, name)
                still.unlink()


def _copy_metadata(path: Path, original: Path) -> None:
    """Give `path` the mode and times of the original, and as root also its owner."""
    shutil.copystat(original, path)
    if os.geteuid() == 0:
        stat = original.stat()
        os.chown(path, stat.st_uid, stat.st_gid)


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _below(folder: Path) -> Iterator[Path]:
    for path in _sorted(folder):
        if not path.is_symlink():
            yield path
            if path.is_dir():
                yield from _below(path)


def summary(manifest: Manifest) -> dict[str, object]:
    """Return the manifest with the number and the bytes of its members in place of their long list."""
    facts = msgspec.to_builtins(msgspec.structs.replace(manifest, members=()))
    return {key: value for key, value in facts.items() if key not in {"members", "format"}} | {
        "files": len(manifest.members),
        "bytes": sum(member.size for member in manifest.members),
    }
