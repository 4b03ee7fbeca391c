"""A board is backed up while it runs, the backup is checked before anything changes, and another board continues."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.access.tokens import Scope, Tokens
from edge.backup.archive import Manifest
from edge.backup.restore import Restored
from edge.backup.restore import restore as put_back
from edge.broker import topology as wire
from edge.cli.main import main
from edge.config import BrokerConfig, Config
from edge.core.errors import EdgeError, StackError, StorageError, UsageError
from edge.core.layout import Layout
from edge.gateway.service import _alone
from edge.ledger.recovery import rebuild
from edge.model import Attempts, JobState, PowerState, Result
from edge.results.attempts import AttemptsStore
from edge.results.store import Results
from edge.up.lock import holder, only_one
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.context import _claim
from tests.conftest import MakeConfig, delete_queues
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import StartWorker, report_power, until


@pytest.fixture(autouse=True)
def _where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the board of `make_config`."""
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "edge.yaml"))


def _quiet(_files: int, _size: int) -> None:
    return


def _restore(file: Path, root: Path, *, set_aside: bool = False) -> Restored:
    return put_back(file, Layout(root, root / "run"), root / "edge.yaml", advance=_quiet, set_aside=set_aside)


@pytest.fixture
def packed(gateway: RunningGateway, tmp_path: Path) -> Path:
    """Make the backup of a board with an ended job with a file, a removed job, an open job and all other state."""
    layout = gateway.layout
    ended = gateway.submit("echo", "ended", Idempotency_Key="ended")
    gateway.finish(ended, "done", files={"a.txt": b"artifact"})
    gone = gateway.submit("echo", "gone")
    gateway.finish(gone, "gone")
    still = gateway.submit("echo", "open", Idempotency_Key="open")
    gateway.becomes(ended, "succeeded")
    gateway.becomes(gone, "succeeded")
    Results(layout).remove(gone)
    until(lambda: gateway.ask("GET", f"/jobs/{gone}").status == 410, "the removal in the ledger")
    AttemptsStore(layout).write(Attempts(still, deliveries=3, ended=("power-cut",) * 3))
    assert Checkpoint(layout.checkpoints / f"{still}.json").save({"line": 7}, now=True)
    Tokens(layout.tokens).add("sensor", [Scope.SUBMIT])
    Tokens(layout.tokens, paired=layout.paired).admit("phone", [Scope.READ], sha256="0" * 64, by_gateway=True)
    layout.days.mkdir(parents=True)
    (layout.days / "2026-11-20.json").write_text("{}")
    (layout.tasks / "chat").mkdir(parents=True)
    with closing(sqlite3.connect(layout.tasks / "chat" / "bot.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE said (text)")
        db.execute("INSERT INTO said VALUES ('hello')")
        db.commit()
        file = tmp_path / "board.tar.gz"
        assert main(["backup", str(file)]) == 0
    return file


def test_everything_comes_back_onto_a_blank_board(
    gateway: RunningGateway, packed: Path, start_gateway: StartGateway, make_config: MakeConfig, tmp_path: Path
) -> None:
    """On a blank board ended jobs have files and keys, removed ones stay removed, and the open job will be sent."""
    gateway.stop()
    config = make_config(root="other")
    done = _restore(packed, config.root)
    assert (done.aside, done.config) == (None, config.root / "edge.yaml")
    assert done.manifest is not None
    assert (done.manifest.jobs, done.manifest.open_jobs) == (2, 1)
    layout = config.layout
    again = start_gateway(config)
    ended = again.ask("POST", "/jobs", {"task": "echo", "args": ["ended"]}, Idempotency_Key="ended")
    assert ended.status == 200
    assert again.ask("GET", f"/jobs/{ended.json['id']}/result").json["value"] == "done"
    assert again.ask("GET", f"/jobs/{ended.json['id']}/files/a.txt").body == b"artifact"
    still = again.ask("POST", "/jobs", {"task": "echo", "args": ["open"]}, Idempotency_Key="open").json
    assert still["state"] == "accepted"
    known = AttemptsStore(layout).read(still["id"])
    assert known is not None
    assert known.deliveries == 3
    assert Checkpoint(layout.checkpoints / f"{still['id']}.json").read() == {"line": 7}
    assert [token.name for token in Tokens(layout.tokens, paired=layout.paired).list()] == ["sensor", "phone"]
    assert (layout.days / "2026-11-20.json").read_text() == "{}"
    with closing(sqlite3.connect(layout.tasks / "chat" / "bot.sqlite")) as db:
        assert db.execute("SELECT text FROM said").fetchall() == [("hello",)]
    assert rebuild.notes(config.root) == []


@pytest.mark.broker
def test_jobs_that_were_open_run_on_the_new_board(
    make_config: MakeConfig,
    broker: BrokerConfig,
    start_gateway: StartGateway,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    """The new broker does not know the open jobs of the old board, and gets them all."""
    config = make_config(broker=broker, tasks=["odd"])
    board = start_gateway(config)
    job_id = board.submit("echo", "waits")
    board.becomes(job_id, "queued")
    assert main(["backup", str(tmp_path / "b.tar")]) == 0
    board.stop()
    delete_queues(broker)
    config = make_config(broker=broker, tasks=["odd"], root="other")
    _restore(tmp_path / "b.tar", config.root)
    start_gateway(config)
    report_power(config, PowerState.NORMAL)
    assert start_worker(config).result(job_id).value == "waits"


@pytest.mark.broker
def test_jobs_that_were_open_run_where_the_broker_knows_the_board(
    make_config: MakeConfig,
    broker: BrokerConfig,
    start_gateway: StartGateway,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    """The broker's store is not new, and nothing shows that its messages are gone; still the open jobs run."""
    config = make_config(broker=broker, tasks=["odd"])
    board = start_gateway(config)
    job_id = board.submit("echo", "waits")
    board.becomes(job_id, "queued")
    assert main(["backup", str(tmp_path / "b.tar")]) == 0
    board.stop()
    with wire.connection(broker, timeout_s=10.0) as link:
        for queue in wire.QUEUES.values():  # queues of other pools are made only when they are needed
            link.default_channel.queue_purge(queue.name)
        assert not wire.store_is_new(link.connection)
    _restore(tmp_path / "b.tar", config.root, set_aside=True)
    start_gateway(config)
    report_power(config, PowerState.NORMAL)
    assert start_worker(config).result(job_id).value == "waits"


def test_a_backup_is_consistent_while_jobs_come_and_end(
    gateway: RunningGateway, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Each job that the ledger calls ended has its result in the backup, and each job accepted before is in it."""
    stop = threading.Event()
    accepted: list[str] = []

    def load() -> None:
        while not stop.is_set():
            accepted.append(gateway.submit("echo", "x"))
            gateway.finish(accepted[-1], "y")

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(5):
            before = set(accepted[:-1])
            file = tmp_path / f"{number}.tar"
            assert main(["backup", str(file)]) == 0
            root = tmp_path / f"root-{number}"
            _restore(file, root)
            with closing(sqlite3.connect(root / "ledger.sqlite")) as db:
                rows = dict(db.execute("SELECT id, state FROM job"))
            assert before <= rows.keys()
            for job_id, state in rows.items():
                ended = (root / "results" / job_id[:2] / f"{job_id}.json").exists()
                assert ended or state in {"accepted", "queued"}
    finally:
        stop.set()
        thread.join(20)


def _short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    raw = bytearray(gzip.decompress(data))
    at = raw.index(b'"value":"done"')
    raw[at + 9] ^= 1
    return bytes(raw)


def _no_list(data: bytes) -> bytes:
    raw = gzip.decompress(data)
    return raw[: raw.index(b"MANIFEST.json") // 512 * 512] + bytes(1024)


def _not_tar(_data: bytes) -> bytes:
    return b"hello" * 1000


def _evil(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[bytes], bytes]:
    def make(_data: bytes) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        return raw.getvalue()

    return make


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        pytest.param(_short, "cannot be read", id="half"),
        pytest.param(_flipped, "1 of its files are missing or damaged, such as results/", id="a flipped bit"),
        pytest.param(_no_list, "no list of its files", id="no list"),
        pytest.param(_not_tar, "cannot be read", id="no tar"),
        pytest.param(_evil("results/../../x"), "which no backup does", id="a way out"),
        pytest.param(_evil("/etc/x"), "which no backup does", id="absolute"),
        pytest.param(_evil("results/x", tarfile.SYMTYPE), "which no backup does", id="a link"),
        pytest.param(_evil("results/x", tarfile.LNKTYPE), "which no backup does", id="a hard link"),
    ],
)
def test_a_bad_archive_changes_nothing(
    packed: Path, tmp_path: Path, harm: Callable[[bytes], bytes], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each bad archive is refused with one clear line."""
    bad = tmp_path / "bad.tar"
    bad.write_bytes(harm(packed.read_bytes()))
    root = tmp_path / "blank"
    (root / "results").mkdir(parents=True)
    assert main(["restore", str(bad), "--root", str(root)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"edge: backup {bad}: ")
    assert words in error
    assert error.endswith("; nothing was changed\n")
    assert [path.name for path in root.rglob("*")] == ["results"]


def test_a_board_in_use_or_with_jobs_is_refused(gateway: RunningGateway, packed: Path, config: Config) -> None:
    """A board in use is refused, and one with jobs too; with --set-aside its state is moved aside and not deleted."""
    layout, path = config.layout, config.root.parent / "edge.yaml"
    with pytest.raises(StackError, match="a gateway runs on"):
        put_back(packed, layout, path, advance=_quiet)
    gateway.stop()
    with pytest.raises(UsageError, match="holds a ledger of 2 jobs; --set-aside moves it"):
        put_back(packed, layout, path, advance=_quiet)
    tokens = layout.tokens.read_bytes()
    done = put_back(packed, layout, path, advance=_quiet, set_aside=True)
    assert done.aside == config.root / "before-restore-1"
    assert (done.aside / "tokens.json").read_bytes() == tokens
    assert (done.aside / "results").is_dir()
    assert done.config is None  # there is the same edge.yaml already
    assert put_back(packed, layout, path, advance=_quiet, set_aside=True).aside == config.root / "before-restore-2"


def test_tokens_of_now_count_beside_those_of_the_backup(packed: Path, config: Config, gateway: RunningGateway) -> None:
    """On request both sets of tokens are valid, each once; data after the backup in the same file is ignored."""
    gateway.stop()
    with tarfile.open(packed.with_name("etc.tar.gz"), "w:gz") as tar:
        tar.add(__file__, "etc/edge/key.pem")
    packed.write_bytes(packed.read_bytes() + packed.with_name("etc.tar.gz").read_bytes())
    tokens = Tokens(config.layout.tokens)
    tokens.add("laptop", [Scope.SUBMIT])
    for _ in range(2):
        assert main(["restore", str(packed), "--set-aside", "--keep-tokens"]) == 0
        assert [token.name for token in tokens.list()] == ["sensor", "laptop"]
    assert main(["restore", str(packed), "--set-aside"]) == 0
    assert [token.name for token in tokens.list()] == ["sensor"]


def test_nothing_starts_while_a_restore_is_at_work(packed: Path, config: Config) -> None:
    """During a restore no part starts, even on a board without locks; each says so in one line, and starts later."""
    root = config.root.with_name("new")
    fresh = msgspec.structs.replace(config, root=root, run=root / "run")
    refused: list[str] = []

    def meanwhile(_files: int, _size: int) -> None:
        if refused:
            return
        with pytest.raises(StackError) as gateway:
            _alone(root)
        with pytest.raises(UsageError) as worker:
            _claim(fresh.layout, "main")
        with pytest.raises(StackError) as stack, only_one(root):
            pytest.fail("it started")
        refused.extend(str(each.value) for each in (gateway, worker, stack))
        assert holder(root) is None

    put_back(packed, fresh.layout, root / "edge.yaml", advance=meanwhile)
    assert len(refused) == 3
    assert all("restore" in line and str(root) in line for line in refused)
    for lock in _claim(fresh.layout, "main"):
        os.close(lock)
    _alone(root).close()


def test_locks_of_other_users_are_opened_as_debian_allows(
    packed: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Debian's `fs.protected_regular` = 2, locks of other users are opened without O_CREAT.

    In the sticky state root nobody, not even root, may open a file of another user with O_CREAT. The locks of the
    gateway, and of the user who made the first token, are such files.
    """
    root = config.root.with_name("new")
    _alone(root).close()
    (root / "tokens.lock").touch()
    plain = os.open

    def protected(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if flags & os.O_CREAT and str(path).endswith(".lock") and Path(path).exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return plain(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", protected)
    _restore(packed, root)
    Tokens(root / "tokens.json").add("second", [Scope.READ])


def test_another_configuration_is_laid_beside(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration in use stays, and a different one from the backup is put next to it."""
    root = tmp_path / "blank"
    root.mkdir()
    (root / "edge.yaml").write_text("root: .\nrun: run\n")
    assert main(["restore", str(packed), "--root", str(root)]) == 0
    assert (root / "edge.yaml").read_text() == "root: .\nrun: run\n"
    assert (root / "edge.yaml.restored").read_bytes() == (tmp_path / "edge.yaml").read_bytes()
    assert "the backup's configuration is in" in capsys.readouterr().err


@pytest.mark.parametrize("worked", [False, True])
def test_a_cut_in_the_exchange_is_ended_by_the_next_restore(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worked: bool
) -> None:
    """After a cut at any rename the gateway does not start, a worker may end a job, and a new restore completes all."""
    for number in range(20):
        root = tmp_path / f"root-{number}"
        _restore(packed, root)
        real, left = Path.rename, iter(range(number))

        def rename(self: Path, target: Path, real: object = real, left: object = left) -> Path:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return real(self, target)  # type: ignore[operator, no-any-return]

        try:
            with monkeypatch.context() as patch:
                patch.setattr(Path, "rename", rename)
                _restore(packed, root, set_aside=True)
        except KeyboardInterrupt:
            with pytest.raises(StorageError, match="a restore was interrupted"):
                rebuild.rebuild(Layout(root, root / "run"))
            if worked:
                Results(Layout(root, root / "run")).publish(Result("meanwhile", "echo", JobState.SUCCEEDED))
            assert _restore(packed, root).manifest is None
        else:
            assert number >= 12
            return
        names = {"results", "attempts", "checkpoints", "tasks", "tokens.json", "ledger.sqlite"}
        assert names <= {path.name for path in root.iterdir()}
        assert names <= {path.name for path in (root / "before-restore-1").iterdir()}
        assert not (root / ".restoring").exists()
        assert not worked or list(root.rglob("meanwhile.json"))
        shutil.rmtree(root)
    raise AssertionError("the exchange has no end")


def test_a_file_that_is_there_is_not_replaced_unasked(
    packed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An existing file is replaced only if asked for, and no half file is left if packing fails."""
    before = packed.read_bytes()
    assert main(["backup", str(packed)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert packed.read_bytes() == before
    assert main(["backup", str(packed), "--force"]) == 0
    assert main(["backup", str(tmp_path / "none" / "x.tar")]) == 1
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert packed.stat().st_mode & 0o777 == 0o600


def test_a_newer_backup_is_refused(packed: Path, tmp_path: Path) -> None:
    """A backup of a newer version is refused, because it may have unknown content."""
    newer = tmp_path / "newer.tar"
    content = msgspec.json.encode(Manifest("99.0", 0.0, "h", 0, 0, format=2))
    with tarfile.open(newer, "w") as tar:
        info = tarfile.TarInfo("MANIFEST.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(EdgeError, match=r"made by edge 99\.0, which is newer"):
        _restore(newer, tmp_path / "blank")
