"""A broken ledger is set aside and rebuilt from all sources. It is never silently empty."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import Config
from edge.core import durable
from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.ledger.recovery import copies, rebuild
from edge.ledger.recovery.damage import damage
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result
from edge.results.store import Results
from edge.schedule.dependencies import Edge
from edge.schedule.later import Later
from tests.unit.results.crash_states import Died

COPIED, LATE = 600, 40


def _new(number: int) -> NewJob:
    job_id = f"{number:04d}-job"
    return NewJob(
        id=job_id,
        task="echo",
        args=[number, "text " * 40],
        kwargs={},
        power=Power.NORMAL,
        retries=0,
        time_limit_s=None,
        submitter="lan",
        fingerprint=number.to_bytes(4),
        key=job_id,
    )


def _add(ledger: LedgerWriter, numbers: range) -> None:
    with ledger.transaction(durable=True):
        for number in numbers:
            ledger.add(_new(number), now=1.0)


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state root with a copy of the ledger, and newer jobs in the write-ahead log."""
    root = tmp_path_factory.mktemp("born")
    layout = Layout(root / "live", root / "run")
    layout.root.mkdir()
    with closing(LedgerWriter.open(layout.ledger)) as ledger:
        _add(ledger, range(COPIED))
        ledger.connection._empty_log()
        assert copies.copy(layout.ledger, layout.ledger_copy)
        _add(ledger, range(COPIED, COPIED + LATE))
        shutil.copytree(layout.root, root / "cut")  # the state after a power cut, in which no connection was closed
    (root / "cut" / "ledger.sqlite-shm").unlink()
    return root / "cut"


@pytest.fixture
def layout(born: Path, config: Config) -> Layout:
    shutil.copytree(born, config.root)
    return config.layout


def _garble(path: Path, first: int, pages: int) -> None:
    with path.open("r+b") as file:
        file.seek(first * 4096)
        file.write(os.urandom(pages * 4096))


def _jobs(layout: Layout) -> set[int]:
    with closing(LedgerWriter.open(layout.ledger)) as ledger:
        return {int(job.id[:4]) for job in ledger.reader.unpublished(after_seq=0, limit=10_000)}


def _aside(layout: Layout) -> Path:
    (folder,) = layout.root.glob("ledger.set-aside-*")
    return folder


ALL = set(range(COPIED + LATE))


def test_a_sound_ledger_is_left_alone(layout: Layout) -> None:
    """Its log, with the newest jobs, is kept too."""
    before = {path.name: path.read_bytes() for path in layout.root.iterdir() if not path.name.endswith("-shm")}
    rebuild.rebuild(layout)
    assert before == {path.name: path.read_bytes() for path in layout.root.iterdir() if not path.name.endswith("-shm")}
    assert _jobs(layout) == ALL
    assert rebuild.notes(layout.root) == []


def test_a_board_that_never_had_a_ledger_has_lost_none(config: Config) -> None:
    """A board whose first start was interrupted has lost none either."""
    config.root.mkdir()
    rebuild.rebuild(config.layout)
    assert list(config.root.iterdir()) == []
    config.layout.ledger.touch()
    rebuild.rebuild(config.layout)
    with closing(sqlite3.connect(config.layout.ledger)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    rebuild.rebuild(config.layout)
    assert rebuild.notes(config.root) == []


def _middle(layout: Layout) -> None:
    _garble(layout.ledger, 20, 6)


def _short(layout: Layout) -> None:
    os.truncate(layout.ledger, 4096 * 30)


@pytest.mark.parametrize("harm", [_middle, _short])
def test_pages_that_broke_come_from_the_copy_and_all_else_from_the_file(
    layout: Layout, harm: Callable[[Layout], None]
) -> None:
    """Nothing is lost, because the rows that are newer than the copy were readable."""
    harm(layout)
    assert damage(layout.ledger, limit_s=10)
    broken = layout.ledger.read_bytes()
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL
    assert damage(layout.ledger, limit_s=10) == ""
    assert (_aside(layout) / "ledger.sqlite").read_bytes() == broken
    assert (_aside(layout) / "ledger.sqlite-wal").stat().st_size
    ((folder, why),) = rebuild.notes(layout.root)
    assert folder == "ledger.set-aside-1"
    assert "jobs were read from it and" in why
    assert "Jobs may be missing that were accepted after that copy" in why
    rebuild.rebuild(layout)  # the next start finds nothing to repair
    assert len(rebuild.notes(layout.root)) == 1


def test_what_waits_in_a_broken_ledger_waits_in_the_new_one(layout: Layout) -> None:
    """It waits for its time with its priority and key, and for other jobs, even if they have ended meanwhile."""
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        for number, later in (
            (901, Later(not_before=4e9, priority=7, unique_key="k")),
            (902, Later(after=("0001-job",))),
            (903, Later(after=("0901-job",), anyway=True, results=True)),
        ):
            ledger.add(msgspec.structs.replace(_new(number), later=later), now=1.0)
        ledger.finish(Result("0001-job", "echo", JobState.SUCCEEDED), size_bytes=1)
    _middle(layout)
    rebuild.rebuild(layout)
    with closing(LedgerWriter.open(layout.ledger)) as ledger:
        job = ledger.reader.get("0901-job")
        assert (job.waits, job.due_at, job.priority, job.unique_key) == (True, 4e9, 7, "k")
        assert ledger.reader.edges("0903-job") == [Edge("0901-job", "", True)]
        assert ledger.reader.needs_results("0903-job")
        with ledger.transaction(durable=False):
            followers = ledger.fire_missed()
        assert [job.id for job in followers.free] == ["0902-job"]


def _all_gone(layout: Layout) -> None:
    layout.ledger.unlink()
    layout.ledger.with_name("ledger.sqlite-wal").unlink()


def _emptied(layout: Layout) -> None:
    os.truncate(layout.ledger, 0)


def _no_database(layout: Layout) -> None:
    layout.ledger.with_name("ledger.sqlite-wal").unlink()
    _garble(layout.ledger, 0, 1)


@pytest.mark.parametrize("harm", [_all_gone, _emptied, _no_database])
def test_a_file_that_tells_nothing_comes_from_the_copy(layout: Layout, harm: Callable[[Layout], None]) -> None:
    """The note says how old the copy is."""
    harm(layout)
    kept = {path.name: path.read_bytes() for path in layout.root.glob("ledger.sqlite*")}
    rebuild.rebuild(layout)
    assert _jobs(layout) == set(range(COPIED))
    aside = _aside(layout)
    assert {name: (aside / name).read_bytes() for name in kept if not name.endswith("-shm")} == kept
    assert f"{COPIED} more from the ledger's copy of 20" in rebuild.notes(layout.root)[0][1]


def test_without_a_copy_the_results_say_that_there_was_a_ledger(layout: Layout) -> None:
    """The gateway adds rows for the results, and the note says that there was no copy."""
    _all_gone(layout)
    layout.ledger_copy.unlink()
    Results(layout).publish(Result("a-job", "echo", JobState.SUCCEEDED, value=1))
    rebuild.rebuild(layout)
    assert _jobs(layout) == set()
    assert "its copy (there was none)" in rebuild.notes(layout.root)[0][1]


def test_both_broken_gives_what_both_have(layout: Layout) -> None:
    """The new ledger has every row that can be read in either file."""
    _garble(layout.ledger, 20, 6)
    _garble(layout.ledger_copy, 40, 6)
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL


def test_open_jobs_of_the_copy_are_published_again_and_removed_ones_stay_away(layout: Layout) -> None:
    """The copy is older: since then the broker may have lost a job, and a submitter may have removed one."""
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.requeue_all()
        ledger.mark_queued([ledger.reader.get("0001-job").message_key, ledger.reader.get("0002-job").message_key])
    layout.ledger_copy.unlink()
    copies.copy(layout.ledger, layout.ledger_copy)
    Results(layout).remove("0002-job")
    _all_gone(layout) if layout.ledger.with_name("ledger.sqlite-wal").exists() else layout.ledger.unlink()
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL - {2}


def test_rows_that_rotted_inside_are_not_taken(layout: Layout) -> None:
    """SQLite returns damaged rows too. A row with a wrong id, state or JSON is not copied."""
    with closing(sqlite3.connect(layout.ledger)) as db:
        db.execute("UPDATE job SET id = 'a/../b' WHERE id = '0003-job'")
        db.execute("UPDATE job SET state = 'acceptee' WHERE id = '0004-job'")
        db.execute("UPDATE job SET arguments = x'5b31' WHERE id = '0005-job'")
        db.execute("PRAGMA writable_schema = 1")
        db.execute("UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'job_state'")
        db.commit()
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL


def test_a_row_of_which_only_the_state_rotted_is_not_lost_without_a_copy(layout: Layout) -> None:
    """The job runs again, or its result closes it."""
    layout.ledger_copy.unlink()
    with closing(sqlite3.connect(layout.ledger)) as db:
        db.execute("UPDATE job SET state = CAST(x'61ff' AS TEXT), power = 'none' WHERE id = '0004-job'")
        db.execute("PRAGMA writable_schema = 1")
        db.execute("UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'job_state'")
        db.commit()
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL


def test_a_disk_that_takes_no_new_ledger_leaves_all_as_it_is(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not start, and a later start may succeed."""
    _garble(layout.ledger, 20, 6)
    broken = layout.ledger.read_bytes()

    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("edge.core.durable.sync_file", refuse)
        with pytest.raises(StorageError, match="No space left"):
            rebuild.rebuild(layout)
    assert layout.ledger.read_bytes() == broken
    rebuild.rebuild(layout)
    assert _jobs(layout) == ALL


def _die_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Make every call from call `number` on raise Died, so that it has no effect on the disk."""
    calls = itertools.count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(calls) >= number:
                raise Died
            return real(*args, **kwargs)

        return call

    for name in ("rename", "replace", "mkdir", "fsync", "unlink"):
        patch.setattr(os, name, counted(getattr(os, name)))


def test_a_cut_at_any_moment_of_the_exchange_is_gone_on_from(born: Path, config: Config) -> None:
    """After a cut before or after each rename, the next start has every job, and the broken file is kept."""
    layout = config.layout
    for die_at in range(100):
        shutil.rmtree(layout.root, ignore_errors=True)
        shutil.copytree(born, layout.root)
        _garble(layout.ledger, 20, 6)
        broken = layout.ledger.read_bytes()
        with pytest.MonkeyPatch.context() as patch, suppress(Died):
            _die_at(patch, die_at)
            rebuild.rebuild(layout)
            patch.undo()
            assert die_at > 15
            return
        rebuild.rebuild(layout)
        assert _jobs(layout) == ALL, die_at
        asides = list(layout.root.glob("ledger.set-aside-*/ledger.sqlite"))
        assert [path.read_bytes() for path in asides] == [broken], die_at
    raise AssertionError("the rescue has no end")


def test_an_old_name_of_the_new_ledger_that_came_back_is_dropped(layout: Layout) -> None:
    """On some file systems a rename is two changes of names, and a cut may keep both names."""
    _garble(layout.ledger, 20, 6)
    rebuild.rebuild(layout)
    os.link(layout.ledger, _aside(layout) / "rescued.sqlite")
    broken = (_aside(layout) / "ledger.sqlite").read_bytes()
    rebuild.rebuild(layout)
    assert (_aside(layout) / "ledger.sqlite").read_bytes() == broken
    assert _jobs(layout) == ALL


def test_a_check_is_bounded(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    """The check of a ledger of gigabytes must not delay the start of the board without a limit."""
    began = time.monotonic()
    assert damage(layout.ledger, limit_s=1e-9) in {"", "the file is empty"}
    assert time.monotonic() - began < 5


def test_a_keyed_resubmit_finds_a_restored_row(layout: Layout) -> None:
    """The row has its fingerprint, so that another body is still refused."""
    _all_gone(layout)
    rebuild.rebuild(layout)
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        assert not ledger.add(_new(5), now=2.0).created


def test_a_rebuilt_ledger_is_durable_before_the_broken_one_goes(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written without syncs, so it must be synced before the only sound file is moved."""
    layout.ledger.write_bytes(b"no database" * 1000)
    broken, synced = layout.ledger.stat().st_ino, list[tuple[int, int]]()
    real = durable.sync_file

    def sync_file(path: Path) -> None:
        synced.append((path.stat().st_ino, layout.ledger.stat().st_ino))
        real(path)

    monkeypatch.setattr(durable, "sync_file", sync_file)
    rebuild.rebuild(layout)
    assert (layout.ledger.stat().st_ino, broken) in synced
