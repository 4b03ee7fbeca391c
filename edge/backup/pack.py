"""What goes into a backup, in the order that makes it consistent while everything runs.

The ledger first: what ends after that has its result in the archive all the same, and is found when it is restored. The
other way round the ledger could call a job ended whose result had not been there yet.
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
from edge.core.errors import EdgeError, UsageError, given
from edge.core.layout import Layout
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import copies
from edge.results.inputs import Inputs
from edge.results.store import Results

CONFIG = "config/edge.yaml"
_SQLITE = b"SQLite format 3\0"


def backup(loaded: Loaded, target: Path, *, advance: Advance, replace: bool = False) -> Manifest:
    """Pack the board's state into `target`; jobs may be accepted, run and end meanwhile.

    Raises UsageError when there is no state, StorageError and OSError from the disk.
    """
    layout = loaded.config.layout
    if loaded.config.node.head_url is not None:
        raise UsageError(f"this board keeps no jobs of its own: back up its head, {loaded.config.node.head_url}")
    if not layout.ledger.exists():
        raise UsageError(f"{layout.root} holds no ledger, so there is nothing to back up")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as spare:
        copied = Path(spare) / layout.ledger.name
        copies.copy(layout.ledger, copied)
        mark = given(copies.mark(copied), "the mark of the ledger's copy")
        _alike(copied, layout.ledger)
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
                _flat(packer, layout, folder)
            _tasks(packer, layout, Path(spare))
            for path in (layout.tokens, layout.pause):
                with suppress(FileNotFoundError):
                    packer.file(path, os.fspath(path.relative_to(layout.root)))
            if loaded.path is not None:
                packer.file(loaded.path, CONFIG)
            packer.end(manifest)
    return manifest


def _files(packer: Packer, layout: Layout, ledger: Path) -> None:
    """What the open jobs and the schedules of this ledger are given. No other file is wanted by anything in it."""
    inputs = Inputs(layout.files)
    with closing(LedgerReader.open(ledger)) as reader:
        wanted = reader.wanted_files() & set(inputs.stored())
    if wanted:
        packer.folder(layout.files, "files")
    for sha256 in sorted(wanted):
        with suppress(FileNotFoundError):  # its jobs have ended meanwhile
            packer.file(inputs.path(sha256), f"files/{sha256}")


def _results(packer: Packer, layout: Layout) -> None:
    """Files before the result that tells of them; tombstones; nothing of attempts that have not ended."""
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
    except EdgeError:  # damaged: kept as it is, its files cannot be told
        return
    if result is None or not result.files:
        return
    packer.folder(shard / result.folder, f"results/{shard.name}/{result.folder}")
    for artifact in result.files:
        packer.file(shard / result.folder / artifact.name, f"results/{shard.name}/{result.folder}/{artifact.name}")


def _flat(packer: Packer, layout: Layout, folder: Path) -> None:
    if not folder.is_dir():
        return
    packer.folder(folder, os.fspath(folder.relative_to(layout.root)))
    for path in _sorted(folder):
        # Nothing of ours is a link, and a pipe would be waited for without end.
        if path.suffix == ".json" and not path.name.startswith(".") and not path.is_symlink() and path.is_file():
            with suppress(FileNotFoundError):  # the job has ended meanwhile
                packer.file(path, os.fspath(path.relative_to(layout.root)))


def _tasks(packer: Packer, layout: Layout, spare: Path) -> None:
    """What kinds of job keep between jobs. It may be written meanwhile: a database is copied by SQLite's own means."""
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
                _alike(still, path)
                packer.file(still, name)
                still.unlink()


def _alike(path: Path, original: Path) -> None:
    """Mode, times and owner of the original, as far as we may."""
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
    """The manifest without its long list."""
    facts = msgspec.to_builtins(msgspec.structs.replace(manifest, members=()))
    return {key: value for key, value in facts.items() if key not in {"members", "format"}} | {
        "files": len(manifest.members),
        "bytes": sum(member.size for member in manifest.members),
    }
