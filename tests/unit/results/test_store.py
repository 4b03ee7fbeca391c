"""Results are immutable and complete, and announced only when they are durable."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.core import durable
from edge.core.errors import BadJobId, TornResult
from edge.model import JobState, Result, new_job_id
from edge.results.staging import check_artifact_name
from edge.results.store import Results
from tests.capabilities import bound_by_file_modes


@pytest.fixture
def results(config: Config) -> Results:
    return Results(config.layout)


def done(job_id: str, value: object = 42, *, attempts: int = 1) -> Result:
    return Result(id=job_id, task="t", state=JobState.SUCCEEDED, value=value, finished_at=1.0, attempts=attempts)


def test_a_published_result_reads_back_as_it_was(results: Results) -> None:
    """A read returns the published result."""
    job_id = new_job_id()
    assert results.read(job_id) is None
    assert results.publish(done(job_id, {"a": [1, 2.5, None, "é"]}))
    assert results.read(job_id) == done(job_id, {"a": [1, 2.5, None, "é"]})
    assert list(results.ids()) == [job_id]


def test_the_first_result_stands(results: Results) -> None:
    """A second publish of the same id changes nothing and returns False."""
    assert results.publish(done("job-1", "first"))
    before = results.path("job-1").read_bytes()
    assert not results.publish(done("job-1", "second"))
    assert results.path("job-1").read_bytes() == before


def test_racing_publishers_agree_on_one_result(results: Results) -> None:
    """Of many publishers of one id exactly one wins, and all of them read its result."""
    barrier = threading.Barrier(8)
    won: list[int] = []

    def race(number: int) -> None:
        barrier.wait()
        own = Results.__new__(Results)
        own.__dict__.update(results.__dict__, _durable_folders=set())
        if own.publish(done("race", number)):
            won.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = results.read("race")
    assert result is not None
    assert won == [result.value]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "not json", "binary"])
def test_a_damaged_file_is_never_taken_for_a_result(results: Results, damage: str) -> None:
    """A changed byte, a missing end or other content raises TornResult, which names the file."""
    results.publish(done("job-1", "value"))
    path = results.path("job-1")
    content = path.read_bytes()
    wrong = {
        "flip": content.replace(b'"value"', b'"valuf"'),
        "cut": content[: len(content) // 2],
        "empty": b"",
        "not json": b"hello",
        "binary": bytes(range(256)),
    }[damage]
    path.unlink()
    path.write_bytes(wrong)
    with pytest.raises(TornResult, match=r"job-1\.json"):
        results.read("job-1")


def test_artifacts_lie_beside_the_result_that_names_them(results: Results) -> None:
    """Files, sizes and hashes are in the result, and only these files can be reached."""
    staging = results.stage("job-1")
    staging.file("1-response.txt").write_text("50 divided by 2 = 25\n")
    staging.file("empty").touch()
    assert results.publish(done("job-1"), staging)
    result = results.read("job-1")
    assert result is not None
    assert [(file.name, file.size_bytes) for file in result.files] == [("1-response.txt", 21), ("empty", 0)]
    assert results.artifact(result, "1-response.txt").read_text() == "50 divided by 2 = 25\n"
    assert results.read_sized("job-1") == (result, results.path("job-1").stat().st_size + 21)
    with pytest.raises(KeyError):
        results.artifact(result, "../../ledger.sqlite")


def test_a_losing_attempt_leaves_no_files(results: Results) -> None:
    """The artifacts of the second attempt are removed, and those of the first stay."""
    first, second = results.stage("job-1"), results.stage("job-1")
    first.file("a").write_text("first")
    second.file("a").write_text("second")
    assert results.publish(done("job-1"), first)
    assert not results.publish(done("job-1"), second)
    result = results.read("job-1")
    assert result is not None
    assert results.artifact(result, "a").read_text() == "first"
    assert not second.folder.exists()


def test_files_of_an_attempt_that_was_cut_short_go_with_the_next(results: Results) -> None:
    """The result of a later attempt removes earlier artifacts.

    A job whose id begins in the same way keeps its artifacts.
    """
    cut, neighbour = results.stage("job-1"), results.stage("job-1.5")
    cut.file("half").write_text("half")
    neighbour.file("mine").write_text("mine")
    results.publish(done("job-1", attempts=2))
    assert not cut.folder.exists()
    assert neighbour.folder.exists()


def test_a_removed_result_never_comes_back(results: Results) -> None:
    """After a removal only the tombstone is left, and a late attempt publishes nothing."""
    staging = results.stage("job-1")
    staging.file("a").write_text("x")
    results.publish(done("job-1"), staging)
    results.remove("job-1")
    assert results.removed("job-1")
    assert results.has("job-1")
    assert results.read("job-1") is None
    assert not staging.folder.exists()
    late = results.stage("job-1")
    late.file("a").write_text("late")
    assert not results.publish(done("job-1"), late)
    assert results.read("job-1") is None
    assert not late.folder.exists()


def test_removing_twice_is_removing_once(results: Results) -> None:
    """A second removal, or the removal of an unknown job, leaves the tombstone and raises no error."""
    results.remove("job-1")
    results.remove("job-1")
    assert results.removed("job-1")


def test_the_staging_name_vanishes_only_after_the_sync(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher of the staging folder sees a removal only after the folder of the result was synced."""
    events: list[str] = []
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(fd: int) -> None:
        events.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        real_fsync(fd)

    def unlink(path: str | Path) -> None:
        events.append(f"unlink {Path(path).parent.name}/{Path(path).name}")
        real_unlink(path)

    results.publish(done("warm-up"))
    results.publish(done("wa-again"))
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "unlink", unlink)
    results.publish(done("wa-job"))
    content, folder, notice = events[:3]
    assert content.startswith("sync .wa-job.json.")
    assert (folder, notice) == ("sync wa", "unlink .staging/wa-job.json")


def test_recover_leaves_what_another_worker_is_writing(results: Results, config: Config) -> None:
    """A second worker starts while the first one publishes. Only files of a dead process are removed."""
    results.recover()
    with subprocess.Popen(["sleep", "60"]) as other:
        live = config.layout.staging / f".ab-1.json.{other.pid}.12345678"
        live.touch()
        for name in (".ab-2.json.4194305.12345678", f".ab-3.json.{os.getpid()}.12345678", ".ab-4.json.1234abcd"):
            (config.layout.staging / name).touch()
        results.recover()
        assert list(config.layout.staging.iterdir()) == [live]
        other.kill()
        other.wait()
        results.recover()
    assert list(config.layout.staging.iterdir()) == []


def test_recover_makes_a_name_durable_before_it_announces_it(
    results: Results, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that wrote the notice may have died before its sync."""
    results.publish(done("ab-1"))
    (config.layout.staging / "ab-1.json").touch()
    calls: list[str] = []
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(fd: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        real_fsync(fd)

    def unlink(path: str | Path) -> None:
        calls.append(f"announce {Path(path).name}")
        real_unlink(path)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "unlink", unlink)
    Results(config.layout).recover()
    assert calls.index("sync ab") < calls.index("announce ab-1.json")


def test_a_removal_is_told_to_the_watchers(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is announced when only the tombstone is left. Then the gateway answers 410 and removes the row."""
    results.publish(done("ab-1"))
    told: list[tuple[str, list[str]]] = []
    real = os.unlink

    def unlink(path: str | Path) -> None:
        real(path)
        if Path(path).parent.name == ".staging":
            told.append((Path(path).name, [each.name for each in results.path("ab-1").parent.iterdir()]))

    monkeypatch.setattr(os, "unlink", unlink)
    results.remove("ab-1")
    assert told[-1] == ("ab-1.gone", ["ab-1.gone"])


def test_recover_announces_what_was_published_and_drops_the_rest(results: Results, config: Config) -> None:
    """After a crash between link and unlink, or before the link, the staging folder is empty again."""
    results.publish(done("published"))
    config.layout.staging.joinpath("published.json").write_bytes(b"x")
    config.layout.staging.joinpath("torn.json").write_bytes(b"x")
    config.layout.staging.joinpath("!odd name").write_bytes(b"x")
    results.recover()
    assert list(config.layout.staging.iterdir()) == []
    assert list(results.ids()) == ["published"]


def test_tombstones_go_when_no_message_can_be_that_late(results: Results, config: Config) -> None:
    """Only old tombstones with a plausible time are removed, and none without a trusted clock."""
    laid = {"old": 1_800_000_000.0, "young": 1_900_000_000.0, "epoch": 5.0}
    for job_id, at in laid.items():
        results.remove(job_id)
        os.utime(results.path(job_id).with_suffix(".gone"), (at, at))
    results.recover()
    assert [job_id for job_id in laid if results.removed(job_id)] == ["old", "young", "epoch"]
    results.recover(forget_before=1_850_000_000.0)
    assert [job_id for job_id in laid if results.removed(job_id)] == ["young", "epoch"]


def test_a_failed_sync_publishes_nothing(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the card refuses the sync, the error is raised and no result has the name."""
    results.publish(done("warm-up"))

    def refuse(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        results.publish(done("wa-job"))
    assert not results.path("wa-job").exists()


@pytest.mark.parametrize("job_id", ["", ".", "..", "../x", "a/b", "a" * 129, "-a", "a\0b", "a\n"])
def test_an_id_that_is_no_file_name_reaches_no_file(results: Results, job_id: str) -> None:
    """Ids with parts of a path are refused before a path is made of them."""
    with pytest.raises(BadJobId):
        results.path(job_id)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", ".hidden", "a\0", "a\nb", "x" * 201])
def test_an_artifact_name_is_a_plain_file_name(name: str) -> None:
    """Names with parts of a path are refused."""
    with pytest.raises(ValueError, match="file name"):
        check_artifact_name(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(old=st.binary(max_size=300), new=st.binary(max_size=300))
def test_publish_never_replaces(tmp_path: Path, old: bytes, new: bytes) -> None:
    """A file with any content under the name stays as it is."""
    path = tmp_path / new_job_id()
    assert durable.publish(path, old, temp=tmp_path / "t")
    assert not durable.publish(path, new, temp=tmp_path / "t")
    assert path.read_bytes() == old
    assert not (tmp_path / "t").exists()


def test_a_file_name_that_is_not_utf8_is_refused_by_name(results: Results) -> None:
    """JSON cannot represent it, and the error names the file."""
    staging = results.stage("job")
    staging.file("good.txt").write_text("x")
    Path(os.fsdecode(os.fsencode(staging.folder) + b"/b\xffd")).write_text("x")
    with pytest.raises(ValueError, match=r"not UTF-8: b'b\\xffd'"):
        results.publish(done("job"), staging)
    assert not results.path("job").exists()


def test_links_pipes_and_folders_are_no_files_of_a_job(results: Results, tmp_path: Path) -> None:
    """Only plain files become artifacts. A link would disclose another file, and reading a pipe would not end."""
    (tmp_path / "secret").write_text("s")
    staging = results.stage("job")
    staging.file("good.txt").write_text("x")
    staging.file("link").symlink_to(tmp_path / "secret")
    os.mkfifo(staging.file("pipe"))
    staging.file("folder").mkdir()
    assert staging.size_bytes() == 1
    assert [file.name for file in staging.seal()] == ["good.txt"]


@bound_by_file_modes
def test_what_a_body_locked_is_unlocked(results: Results) -> None:
    """A folder or file without permissions can still be read and discarded."""
    staging = results.stage("job")
    staging.file("a.txt").write_text("x")
    (staging.folder / "a.txt").chmod(0)
    staging.folder.chmod(0)
    assert results.publish(done("job"), staging)
    published = results.read("job")
    assert published is not None
    assert [file.name for file in published.files] == ["a.txt"]
    staging.folder.chmod(0)
    staging.discard()
    assert not staging.folder.exists()


def test_a_folder_that_cannot_be_there_has_no_files(results: Results) -> None:
    """If a file is in the place of its parent, there is nothing to count or discard."""
    staging = results.stage("job-1")
    staging.folder.parent.rmdir()
    staging.folder.parent.write_text("a file where a folder must be")
    assert staging.size_bytes() == 0
    staging.discard()


def test_no_job_pays_for_the_folder_of_its_result(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker makes all folders at its start, so a job costs two syncs, for its file and its name."""
    for _ in range(2):
        results = Results(config.layout)
        results.recover()
    synced: list[Path] = []
    real = os.fsync

    def noted(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink())
        real(fd)

    monkeypatch.setattr(os, "fsync", noted)
    results.publish(done("ab-1"))
    assert [path.parent for path in synced] == [config.layout.staging, config.layout.results]
    assert synced[1].name == "ab"
