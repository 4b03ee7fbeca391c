"""The checks of `edge doctor`: each fault gives a finding with an advice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from edge.access.tokens import Scope, Tokens
from edge.cli.board.checks import machine, mqtt, parts, state
from edge.cli.board.checks.finding import Finding
from edge.client import Client, Settings
from edge.config import BrokerConfig, Config, WorkerEntry
from edge.config.mqtt import MqttBroker
from edge.core.host import boot_id
from edge.gateway.mqtt.announced import Announced, AnnouncedFile, Place
from edge.gateway.mqtt.entities import Topics
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, PowerState, PowerStatus, Result, WorkerPool, WorkerState, WorkerStatus
from edge.power import status
from tests.conftest import MakeConfig
from tests.homeassistant.mosquitto import Mosquitto


def levels(findings: Iterable[Finding]) -> list[str]:
    """Return the severity of each finding. Each finding that is not ok must have an advice."""
    found = list(findings)
    assert all(finding.advice or finding.level == "ok" for finding in found)
    return [str(finding.level) for finding in found]


@pytest.fixture
def board(config: Config) -> Config:
    """A configuration whose folders exist."""
    config.root.mkdir(parents=True)
    config.run.mkdir(parents=True)
    return config


def test_a_clock_at_1970_is_told() -> None:
    """A board without a clock starts in 1970, which is not plausible."""
    assert levels(machine.clock(now=5.0)) == ["warn"]


def test_versions_are_well_here() -> None:
    """The libraries of the device extra are found."""
    assert levels(machine.versions()) == ["ok"]


def full(free: int, *, files: int = 5, flags: int = 0) -> os.statvfs_result:
    """Return the figures of a file system of 1 GB, with `free` free blocks of 1 KiB."""
    return os.statvfs_result((1024, 1024, 1_000_000, free, free, 10, files, files, flags, 255))


@pytest.mark.parametrize(
    ("room", "level"),
    [
        (full(900_000), "ok"),
        (full(100_000), "warn"),
        (full(1000), "FAIL"),
        (full(900_000, files=0), "FAIL"),
        (full(900_000, flags=os.ST_RDONLY), "FAIL"),
    ],
)
def test_a_disk_without_room_is_told(
    room: os.statvfs_result, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few free bytes, no free inode, and a read-only file system are reported."""
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    monkeypatch.setattr(machine, "file_system", lambda _: "ext4")
    monkeypatch.setattr(machine, "volatile", lambda _: "")  # the tests may run in a tmpfs
    assert levels(machine.disk(tmp_path)) == [level]


@pytest.mark.parametrize(("kind", "level"), [("vfat", "FAIL"), ("tmpfs", "warn"), ("f2fs", "ok")])
def test_a_file_system_that_cannot_keep_results_is_told(
    kind: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without hard links fails. One that loses its content with the power is a warning."""
    monkeypatch.setattr(os, "statvfs", lambda _: full(900_000))
    monkeypatch.setattr(machine, "file_system", lambda _: kind)
    monkeypatch.setattr(machine, "volatile", lambda _: "")  # the tests may run in a tmpfs
    assert levels(machine.disk(tmp_path / "not" / "there")) == [level]


def test_an_overlay_in_memory_is_told_as_memory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raspberry Pi's overlay file system keeps nothing, although it may show the size of the card."""
    monkeypatch.setattr(os, "statvfs", lambda _: full(900_000))
    monkeypatch.setattr(machine, "file_system", lambda _: "overlay")
    monkeypatch.setattr(machine, "volatile", lambda _: "/ is an overlay whose changes are kept in memory")
    (found,) = machine.disk(tmp_path)
    assert found.level == "warn"
    assert "a power cut loses all of it" in found.text
    assert "raspi-config" in found.advice


@pytest.mark.parametrize(("held", "found"), [(True, ["ok"]), (False, ["warn"]), (None, [])])
def test_memory_limits_that_do_not_hold_are_told(held: bool | None, found: list[str]) -> None:
    """Limits that do not hold are a warning. If it is not known whether they hold, there is no finding."""
    assert levels(machine.memory(lambda: held)) == found


def test_folders_that_are_there_are_well(board: Config) -> None:
    """Folders that exist with safe rights are ok."""
    assert levels(state.folders(board)) == ["ok", "ok"]


def test_a_folder_that_everyone_may_write_is_told(board: Config) -> None:
    """A state root that every user may write fails, because anybody could forge results."""
    board.root.chmod(0o777)
    assert levels(state.folders(board)) == ["FAIL", "ok"]


def test_a_file_in_a_folders_place_is_told(config: Config) -> None:
    """A file in the place of a folder fails; it is not reported as a missing folder."""
    config.root.parent.mkdir(parents=True, exist_ok=True)
    config.root.write_text("")
    assert levels(state.folders(config)) == ["FAIL", "ok"]


def test_secrets_that_everyone_may_read_are_told(make_config: MakeConfig, tmp_path: Path) -> None:
    """The broker's password and the token file fail if every user may read them."""
    config = make_config(BrokerConfig(port=1, password_file=Path("secret")))
    secret = tmp_path / "secret"
    assert levels(state.secrets(config)) == ["FAIL"]
    secret.write_text("x")
    secret.chmod(0o644)
    config.root.mkdir()
    config.layout.tokens.write_text("{}")
    config.layout.tokens.chmod(0o604)
    assert levels(state.secrets(config)) == ["FAIL", "FAIL"]
    secret.chmod(0o640)
    config.layout.tokens.chmod(0o640)
    assert levels(state.secrets(config)) == ["ok", "ok"]


def test_a_board_that_lets_nobody_in_is_told(make_config: MakeConfig) -> None:
    """Without any token, and with loopback not trusted, nobody can submit: this is a warning."""
    assert levels(state.secrets(make_config(gateway={"loopback_without_token": False}))) == ["warn"]


def test_a_ledger_that_opens_is_well(board: Config) -> None:
    """A ledger that can be opened is ok, with the number of open jobs. So is one that is not made yet."""
    assert levels(state.ledger(board.layout.ledger)) == ["ok"]
    LedgerWriter.open(board.layout.ledger).close()
    (finding,) = state.ledger(board.layout.ledger)
    assert finding.level == "ok"
    assert "0 open jobs" in finding.text


def test_a_ledger_that_is_none_is_told(board: Config) -> None:
    """A file that is not a database fails with one finding and raises nothing."""
    board.layout.ledger.write_bytes(b"not a database" * 1000)
    assert levels(state.ledger(board.layout.ledger)) == ["FAIL"]


def test_damage_inside_a_ledger_is_told(board: Config) -> None:
    """Damaged pages fail, although SQLite can open the file."""
    path = board.layout.ledger
    LedgerWriter.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("CREATE TABLE filler (x)")
        db.executemany("INSERT INTO filler VALUES (?)", [("y" * 500,)] * 200)
    db.close()
    content = bytearray(path.read_bytes())
    content[-40_000:-1000] = b"\xff" * 39_000
    path.write_bytes(content)
    assert levels(state.ledger(path)) == ["FAIL"]


def test_rows_that_rotted_are_told(board: Config) -> None:
    """A row with an impossible value is a warning that names the job's id."""
    with closing(LedgerWriter.open(board.layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.adopt(Result("a-job", "echo", JobState.SUCCEEDED), size_bytes=1, now=1.0)
        ledger.connection._db.execute("UPDATE job SET state = 'succeedet'")
    (finding,) = state.ledger(board.layout.ledger)
    assert finding.level == "warn"
    assert "job a-job: state 'succeedet'" in finding.text


def test_stores_set_aside_are_counted(board: Config) -> None:
    """Stores that were set aside are counted, with the command that removes them. The store in use is not counted."""
    assert levels(state.stores([board.layout.broker])) == []
    for name in ("store", "store.set-aside-1", "store.set-aside-2", "store.no-better-1"):
        (board.layout.broker / name).mkdir(parents=True)
    (finding,) = state.stores([board.layout.broker, board.root / "missing"])
    assert finding.level == "warn"
    assert finding.text.startswith("3 set aside")
    kept = ("store.no-better-1", "store.set-aside-1", "store.set-aside-2")
    assert finding.advice.endswith("rm -r " + " ".join(str(board.layout.broker / name) for name in kept))


def test_a_complaint_about_the_broker_is_told(board: Config) -> None:
    """A request to restart the broker is reported with its sender and its reason."""
    assert levels(parts.complaints(board.layout)) == []
    board.layout.complaints.mkdir()
    (board.layout.complaints / "gateway").write_text("it refused a job\n")
    (finding,) = parts.complaints(board.layout)
    assert (finding.level, finding.text) == ("warn", "gateway says: it refused a job")


def test_no_governor_is_told(board: Config) -> None:
    """Without a report of the governor the check fails."""
    assert levels(parts.power(board.layout)) == ["FAIL"]
    status.write(board.layout.power, PowerStatus(PowerState.NORMAL, "x", "fine", boot_id=boot_id(), pid=os.getpid()))
    assert levels(parts.power(board.layout)) == ["ok"]


def worker(config: Config, **changes: object) -> None:
    """Write the status file of a worker."""
    report = WorkerStatus("main", os.getpid(), boot_id(), WorkerState.IDLE)
    report = msgspec.structs.replace(report, **changes)
    config.layout.worker(report.name).write_bytes(msgspec.json.encode(report))


def test_no_worker_is_told(board: Config) -> None:
    """The check fails without a status file, and with one of another boot, of a dead process or of a stopped worker."""
    assert levels(parts.workers(board.layout)) == ["FAIL"]
    for changes in ({"boot_id": "other"}, {"pid": 2**22 + 1}, {"state": WorkerState.STOPPED}):
        worker(board, **changes)
        assert levels(parts.workers(board.layout)) == ["FAIL"]


def test_a_worker_that_holds_is_told(board: Config) -> None:
    """A worker that reports a problem is a warning with the reason, as is one that is disconnected."""
    worker(board)
    assert levels(parts.workers(board.layout)) == ["ok"]
    worker(board, reason="the card is full")
    (finding,) = parts.workers(board.layout)
    assert finding.level == "warn"
    assert "the card is full" in finding.text
    worker(board, state=WorkerState.DISCONNECTED)
    assert levels(parts.workers(board.layout)) == ["warn"]
    board.layout.worker("main").write_bytes(b"{")
    assert levels(parts.workers(board.layout)) == ["warn", "FAIL"]


def test_a_worker_that_is_wanted_by_name_is_told(board: Config) -> None:
    """A configured worker that does not run fails, with the kinds that wait for it and the unit that starts it."""
    worker(board)
    wanted = [WorkerEntry("main"), WorkerEntry("io", WorkerPool.THREADS)]
    *_, finding = parts.workers(board.layout, wanted)
    assert (finding.level, "kinds of pool io" in finding.text) == ("FAIL", True)
    assert finding.advice.endswith("systemctl enable --now edge-worker@io")
    worker(board, name="io")
    assert levels(parts.workers(board.layout, wanted)) == ["ok", "ok"]


def test_a_worker_that_was_stopped_is_told(board: Config) -> None:
    """A worker whose process is stopped by a signal is a warning, unless its freezer stopped it."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        worker(board, pid=process.pid)
        (finding,) = parts.workers(board.layout)
        assert (finding.level, finding.advice) == ("warn", f"kill -CONT {process.pid}")
        board.layout.frozen("main").touch()
        assert levels(parts.workers(board.layout)) == ["ok"]
    finally:
        process.kill()
        process.wait()


def test_no_broker_is_told(config: Config) -> None:
    """A broker that does not listen fails."""
    assert levels(parts.broker(config.broker)) == ["FAIL"]


def test_no_gateway_is_told() -> None:
    """A gateway that does not listen fails."""
    with Client(settings=Settings("http://127.0.0.1:9", patience_s=0)) as client:
        assert levels(parts.gateway(client)) == ["FAIL"]


class TestMqtt:
    """The login at the MQTT broker, jobs by topic, and topics that were left at old brokers."""

    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Mosquitto]:
        """A broker with one user."""
        with Mosquitto(tmp_path / "mosquitto", users={"edge": "secret"}) as found:
            yield found

    def test_a_board_without_mqtt_says_nothing_of_it(self, board: Config) -> None:
        """Without MQTT in the configuration there is no finding."""
        assert levels(mqtt.broker(board)) == []

    @pytest.mark.parametrize(
        ("password", "level", "expected"),
        [
            ("secret", "ok", "accepts the login as edge"),
            ("wrong", "FAIL", "not authorized"),
            (None, "FAIL", "No such file"),
        ],
    )
    def test_the_login_is_tried(
        self,
        make_config: MakeConfig,
        broker: Mosquitto,
        tmp_path: Path,
        password: str | None,
        level: str,
        expected: str,
    ) -> None:
        """The broker is asked with the password of the file; a refusal or a missing file fails."""
        if password is not None:
            (tmp_path / "secret").write_text(f"{password}\n")
        section = {"host": "127.0.0.1", "port": broker.port, "user": "edge", "password_file": "secret"}
        (finding,) = mqtt.broker(make_config(mqtt=section))
        assert finding.level == level
        assert expected in finding.text

    def test_a_broker_that_is_away(self, make_config: MakeConfig) -> None:
        """A broker that does not listen fails with the reason."""
        (finding,) = mqtt.broker(make_config(mqtt={"host": "127.0.0.1", "port": 1}))
        assert (finding.level, finding.text) == ("FAIL", "127.0.0.1:1: Connection refused")

    def test_who_may_submit_by_topic(self, make_config: MakeConfig, broker: Mosquitto, tmp_path: Path) -> None:
        """A missing token is a warning, and so is a broker that accepts clients without a password."""
        (tmp_path / "secret").write_text("secret\n")
        submit = {"token": "home", "kinds": ["echo"]}
        section = {
            "host": "127.0.0.1",
            "port": broker.port,
            "user": "edge",
            "password_file": "secret",
            "submit": submit,
        }
        config = make_config(mqtt=section)
        assert levels(mqtt.broker(config)) == ["ok", "warn"]
        Tokens(config.layout.tokens).add("home", [Scope.SUBMIT])
        assert levels(mqtt.broker(config)) == ["ok"]
        with Mosquitto(tmp_path / "open") as everybody:
            found = list(mqtt.broker(make_config(mqtt={**section, "port": everybody.port})))
        assert [finding.level for finding in found] == ["ok", "warn"]
        assert "without a password" in found[1].text

    def test_what_was_left_at_a_broker_is_told_with_the_way_out(self, board: Config) -> None:
        """Topics at an old broker are a warning, with the commands that remove them by hand."""
        place = Place(MqttBroker(host="old.local", user="edge"), Topics("edge_1", "attic"))
        AnnouncedFile(board.layout.mqtt).write(Announced("edge_1", old=(place,)))
        (finding,) = mqtt.broker(board)
        assert finding.level == "warn"
        for topic in place.topics.retained:
            assert f"mosquitto_pub -h old.local -p 1883 -u edge -P PASSWORD -r -n -t {topic}" in finding.advice

    def test_its_password_is_not_for_everybody(self, make_config: MakeConfig, tmp_path: Path) -> None:
        """The password file fails if every user may read it, as do the other secrets."""
        (tmp_path / "secret").write_text("secret\n")
        config = make_config(mqtt={"host": "h", "user": "edge", "password_file": "secret"})
        for mode, level in ((0o640, "ok"), (0o644, "FAIL")):
            (tmp_path / "secret").chmod(mode)
            found = {finding.part: finding.level for finding in state.secrets(config)}
            assert found["mqtt.password_file"] == level
