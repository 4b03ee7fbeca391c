"""The board in MQTT, with Debian's mosquitto: discovery, values, commands, jobs by topic, outages."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.access.tokens import Scope, Tokens
from edge.config import Config
from edge.model import PowerState, Reading, Verdict
from tests.conftest import MakeConfig
from tests.homeassistant.listener import Listener, faults, until
from tests.homeassistant.mosquitto import Mosquitto
from tests.homeassistant.restarts import Campaign
from tests.running_gateway import StartGateway
from tests.running_governor import governor
from tests.running_worker import report_power
from tests.unit.gateway.http.test_tls import make_pair

pytestmark = pytest.mark.timeout(120)

_SOON_S = 20.0
_FULL = 18  # number of entities of a board with a plain supply
MakeBoard = Callable[..., Config]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker without access control."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    """A simulated Home Assistant on the broker."""
    found = Listener(mosquitto.port)
    found.start()
    yield found
    found.stop()
    assert not found.faults


@pytest.fixture
def board(mosquitto: Mosquitto, make_config: MakeConfig) -> MakeBoard:
    """`board(mqtt={...}, ...)` makes the configuration of a board named attic that uses the broker."""

    def make(mqtt: dict[str, Any] | None = None, **changes: Any) -> Config:
        section = {"host": "127.0.0.1", "port": mosquitto.port, "board": "attic", **(mqtt or {})}
        return make_config(mqtt=section, **changes)

    return make


class Subscriber:
    """Collects messages on a topic filter."""

    def __init__(self, port: int, topic: str, **login: str) -> None:
        self.messages: list[tuple[str, Any]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._client.on_message = lambda _client, _data, message: self.messages.append((message.topic, message.payload))
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, 1)
        assert self._ready.wait(_SOON_S)

    def next(self, topic: str) -> Any:
        """Return the first message on `topic` that was not returned yet, decoded."""
        found: list[Any] = []

        def there() -> bool:
            for number, (name, payload) in enumerate(self.messages):
                if name == topic:
                    found.append(json.loads(payload))
                    del self.messages[number]
                    return True
            return False

        until(there, _SOON_S, lambda: (topic, self.messages))
        return found[0]

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """`subscribe(port, topic)` makes a subscriber that lives until the test ends."""
    made: list[Subscriber] = []

    def make(port: int, topic: str, **login: str) -> Subscriber:
        made.append(Subscriber(port, topic, **login))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_board_is_a_device_with_values(board: MakeBoard, start_gateway: StartGateway, listener: Listener) -> None:
    """With only `mqtt: {host, port}` each entity has a value, and follows power and jobs."""
    config = board()
    report_power(config, PowerState.NORMAL)
    gateway = start_gateway(config)
    until(lambda: listener.ready(least=_FULL), _SOON_S, listener.values)
    until(lambda: listener.values()["power_state"] == "normal", _SOON_S, listener.values)
    assert listener.values()["online"] == "online"
    gateway.submit()
    report_power(config, PowerState.LOW)
    until(lambda: listener.values()["power_state"] == "low", _SOON_S, listener.values)
    assert listener.values()["backlog_normal"] == "1"
    report_power(config, PowerState.LOW, reason="a sentence that waits for its minute")
    report_power(config, PowerState.SURPLUS)
    until(lambda: listener.values()["power_state"] == "surplus", 8.0, listener.values)  # and no other change is needed
    gateway.stop()
    until(lambda: listener.values()["online"] == "offline", _SOON_S, listener.values)
    assert not listener.ready()


def test_a_home_assistant_that_starts_later_finds_everything(
    board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto
) -> None:
    """A Home Assistant that starts later gets the retained messages, and an answer to its birth message."""
    start_gateway(board())
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    listener = Listener(mosquitto.port)
    listener.start()
    until(lambda: listener.ready(least=_FULL), 10.0, listener.values)
    listener.stop()


def test_what_the_sensors_say_is_shown(board: MakeBoard, start_gateway: StartGateway, listener: Listener) -> None:
    """A reading that its source did not declare gets an entity, which the next start already knows."""
    config = board(power={"sources": [{"kind": "nut"}]})
    watts = Reading("nut", "watts", 7.26, "W", verdict=Verdict.OK)
    report_power(config, PowerState.NORMAL, readings=(Reading("nut", "charge", 63.4, "%", verdict=Verdict.OK), watts))
    gateway = start_gateway(config)
    until(lambda: listener.values().get("watts") == "7.3", _SOON_S, listener.values)
    assert listener.values()["charge"] == "63"
    gateway.stop()
    report_power(config, PowerState.UNKNOWN)
    start_gateway(config)
    until(lambda: listener.values().get("online") == "online", _SOON_S, listener.values)
    until(lambda: listener.values().get("watts") == "None", _SOON_S, listener.values)
    assert not listener.ghosts()


def test_pause_and_resume(board: MakeBoard, start_gateway: StartGateway, listener: Listener, tmp_path: Path) -> None:
    """The switch pauses and the button resumes, both by the governor."""
    config = board()
    with governor(tmp_path, {}) as running:
        assert running.layout == config.layout
        running.until(PowerState.SURPLUS)
        start_gateway(config)
        until(lambda: listener.ready(least=_FULL), _SOON_S, listener.values)
        listener.press("paused", "ON")
        until(lambda: listener.values()["paused"] == "ON", _SOON_S, listener.values)
        until(lambda: listener.values()["power_state"] == "paused", _SOON_S, listener.values)
        assert "MQTT" in running.status().reason
        listener.press("resume", "PRESS")
        until(lambda: listener.values()["paused"] == "OFF", _SOON_S, listener.values)


def test_a_command_that_the_broker_has_kept_is_none(
    board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto, caplog: Any
) -> None:
    """A retained command is ignored; otherwise the board would pause at each start."""
    config = board()
    mosquitto.publish("edge/attic/pause/set", "ON", retain=True)
    start_gateway(config)
    until(lambda: "has kept is not carried out" in caplog.text, _SOON_S, lambda: caplog.text)
    assert not config.layout.pause_order.exists()


def test_rubbish_on_the_topics_changes_nothing(
    board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto, listener: Listener, caplog: Any
) -> None:
    """Bad messages change nothing, and are logged at most once a minute."""
    config = board()
    start_gateway(config)
    until(lambda: listener.ready(least=_FULL), _SOON_S, listener.values)
    for payload in (b"", b"on", b"\xff\xfe", b"x" * 100_000, b"{}"):
        mosquitto.publish("edge/attic/pause/set", payload)
        mosquitto.publish("edge/attic/resume/set", payload)
    until(lambda: "expected ON or OFF" in caplog.text or "expected PRESS" in caplog.text, _SOON_S, lambda: caplog.text)
    assert caplog.text.count("expected") == 1
    assert not config.layout.pause_order.exists()


def test_a_flood_of_messages_holds_up_nothing(
    board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto
) -> None:
    """While thousands of invalid commands come, jobs are accepted."""
    gateway = start_gateway(board())
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    for _ in range(5000):
        client.publish("edge/attic/pause/set", "rubbish", qos=0)
    gateway.submit()
    client.disconnect()
    client.loop_stop()
    report_power(gateway.config, PowerState.LOW)
    until(lambda: b'"low"' in mosquitto.retained()["edge/attic/state"], _SOON_S, mosquitto.retained)


def test_an_entity_that_a_new_configuration_no_longer_has_is_removed(
    board: MakeBoard, start_gateway: StartGateway, listener: Listener, mosquitto: Mosquitto
) -> None:
    """An entity that a new configuration does not have is removed, also from a Home Assistant that was down then."""
    config = board(power={"sources": [{"kind": "temperature"}]})
    gateway = start_gateway(config)
    until(lambda: "temperature" in listener.values(), _SOON_S, listener.values)
    gateway.stop()
    listener.stop()
    gateway = start_gateway(board(mqtt={"controls": False}))
    until(lambda: mosquitto.retained().get("edge/attic/online") == b"online", _SOON_S, mosquitto.retained)
    listener.start()
    until(lambda: listener.ready(least=_FULL - 2), _SOON_S, listener.values)
    assert {"temperature", "paused", "resume"}.isdisjoint(listener.values())
    assert not listener.ghosts()
    topic = next(each for each in mosquitto.retained() if each.endswith("/config"))
    # Once a newly started Home Assistant has been informed, the document no longer has them.
    until(lambda: b"temperature" not in mosquitto.retained()[topic], _SOON_S, lambda: mosquitto.retained()[topic])
    assert not faults(json.loads(mosquitto.retained()[topic]))
    gateway.stop()


@pytest.mark.parametrize("mqtt", [{"enabled": False}, None])
def test_a_device_is_taken_back(
    mqtt: dict[str, Any] | None,
    board: MakeBoard,
    make_config: MakeConfig,
    start_gateway: StartGateway,
    listener: Listener,
    mosquitto: Mosquitto,
) -> None:
    """The device is removed by `enabled: false`, and also without the section while its password file exists."""
    config = board()
    gateway = start_gateway(config)
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    gateway.stop()
    gateway = start_gateway(board(mqtt=mqtt) if mqtt else make_config())
    until(lambda: not mosquitto.retained(), _SOON_S, mosquitto.retained)
    until(lambda: not listener.values(), _SOON_S, listener.values)
    assert not listener.ghosts()
    until(lambda: not config.layout.mqtt.exists(), _SOON_S, config.layout.mqtt.read_bytes)
    gateway.stop()
    assert start_gateway(make_config()).gateway._bridge is None


def test_a_board_with_another_name_leaves_nothing_behind(
    board: MakeBoard, start_gateway: StartGateway, listener: Listener, mosquitto: Mosquitto
) -> None:
    """After a rename the old topics are cleared, and Home Assistant has one device."""
    gateway = start_gateway(board())
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    gateway.stop()
    start_gateway(board(mqtt={"board": "cellar"}))
    until(lambda: "edge/attic/state" not in mosquitto.retained(), _SOON_S, mosquitto.retained)
    until(lambda: listener.ready(least=_FULL), _SOON_S, listener.values)
    assert {topic.split("/")[1] for topic in mosquitto.retained() if topic.startswith("edge/")} == {"cellar"}
    assert not listener.ghosts()


class TestSubmit:
    """Jobs can be submitted by topic."""

    ACCEPTED, REFUSED = "edge/attic/submit/accepted", "edge/attic/submit/refused"

    @pytest.fixture
    def mosquitto(self, tmp_path: Path) -> Iterator[Mosquitto]:
        """A broker with users."""
        with Mosquitto(tmp_path / "mosquitto", users={"edge": "secret", "home": "other"}) as broker:
            yield broker

    @pytest.fixture
    def config(self, board: MakeBoard, tmp_path: Path) -> Config:
        """A board that accepts jobs of the kind echo by topic."""
        (tmp_path / "password").write_text("secret\n")
        section = {"user": "edge", "password_file": "password", "submit": {"token": "home", "kinds": ["echo"]}}
        return board(mqtt=section)

    @pytest.fixture
    def ask(
        self, config: Config, start_gateway: StartGateway, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
    ) -> Callable[..., Any]:
        """`ask(message)` publishes a job, and returns the answer on its topic."""
        self.gateway = start_gateway(config)
        answers = subscribe(mosquitto.port, "edge/attic/submit/+", user="home", password="other")
        bridge = self.gateway.gateway._bridge
        assert bridge is not None

        def make(message: Any, topic: str) -> Any:
            payload = message if isinstance(message, bytes) else json.dumps(message).encode()
            until(lambda: bridge.connection is not None and bridge.connection.is_up, _SOON_S, lambda: "not connected")
            mosquitto.publish("edge/attic/submit", payload, user="home", password="other")
            return answers.next(topic)

        return make

    def test_a_job_is_accepted_once(self, ask: Callable[..., Any], config: Config) -> None:
        """A job is durable before the answer, the same key is the same job, and its submitter is the token."""
        Tokens(config.layout.tokens).add("home", [Scope.SUBMIT])
        message = {"task": "echo", "args": ["hello"], "key": "1"}
        first = ask(message, self.ACCEPTED)
        again = ask(message, self.ACCEPTED)
        assert (first["key"], first["state"], first["new"]) == ("1", "accepted", True)
        assert (again["id"], again["new"]) == (first["id"], False)
        job = self.gateway.ask("GET", f"/jobs/{first['id']}").json
        assert (job["submitter"], job["task"]) == ("home", "echo")

    @pytest.mark.parametrize(
        ("message", "error"),
        [
            (b"{", "the body is not JSON"),
            (b"\xff", "not JSON"),
            (b'{"task": "echo", "key": "1", "args": ' + b"[" * 2000 + b"]" * 2000 + b"}", "deeper"),
            ({"task": "echo", "args": ["x"]}, "key: must be given"),
            ({"task": "echo", "args": ["x"], "key": " "}, "1 to 255 printable"),
            ({"task": "total", "args": [[1]], "key": "1"}, "by topic there are echo"),
            ({"task": "echo", "args": [], "key": "1"}, "text"),
            ({"task": "echo", "args": ["x"], "key": "1", "colour": "red"}, "colour"),
            (b'{"task": "echo", "task": "echo", "args": ["x"], "key": "1"}', "given twice"),
        ],
    )
    def test_the_error_of_a_bad_message_is_one_line(
        self, ask: Callable[..., Any], config: Config, message: Any, error: str
    ) -> None:
        """The answer says what is wrong, and nothing is in the ledger."""
        Tokens(config.layout.tokens).add("home", [Scope.SUBMIT])
        answer = ask(message, self.REFUSED)
        assert error in answer["error"]
        assert "\n" not in answer["error"]
        assert answer["code"] not in {"internal", ""}
        assert self.gateway.ask("GET", "/jobs").json["jobs"] == []

    def test_without_its_token_nobody_submits(self, ask: Callable[..., Any], config: Config) -> None:
        """A job is refused if its token does not exist yet, lacks the scope, or is revoked."""
        tokens, message = Tokens(config.layout.tokens), {"task": "echo", "args": ["x"], "key": "1"}
        assert "no token 'home' with scope submit" in ask(message, self.REFUSED)["error"]
        tokens.add("home", [Scope.READ])
        assert ask(message, self.REFUSED)["code"] == "forbidden"
        tokens.allow("home", [Scope.SUBMIT])
        ask(message, self.ACCEPTED)
        tokens.revoke("home")
        assert ask({**message, "key": "2"}, self.REFUSED)["code"] == "forbidden"


def test_an_outage_delays_no_job(board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto) -> None:
    """Jobs are accepted while the MQTT broker is down or frozen, and the gateway stops in time."""
    gateway = start_gateway(board())
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    mosquitto.signal(signal.SIGSTOP)
    for _ in range(50):
        gateway.submit()
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 15
    mosquitto.stop(signal.SIGKILL)
    gateway = start_gateway(gateway.config)
    for _ in range(50):
        gateway.submit()
    mosquitto.start()
    until(lambda: mosquitto.retained().get("edge/attic/online") == b"online", _SOON_S, mosquitto.retained)
    assert json.loads(mosquitto.retained()["edge/attic/state"])["backlog_normal"] == 100


@pytest.mark.timeout(60)
def test_nobody_is_watched_while_the_broker_is_away(
    board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto
) -> None:
    """While the broker is down, neither status files nor events are watched."""
    gateway = start_gateway(board())
    journal = gateway.gateway.appliance.journal
    until(lambda: journal.on, _SOON_S, lambda: "not followed")
    assert not journal._ring
    mosquitto.stop()
    until(lambda: not journal.on, _SOON_S, lambda: "still followed")


def test_an_idle_connection_wakes_nobody(board: MakeBoard, start_gateway: StartGateway, mosquitto: Mosquitto) -> None:
    """Between two pings its thread sleeps, because the timer of the library is not used."""
    start_gateway(board())
    until(lambda: len(mosquitto.retained()) == 3, _SOON_S, mosquitto.retained)
    (thread,) = (each for each in threading.enumerate() if each.name == "mqtt")
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))
        return int(line.split()[1])

    def slept(seconds: float) -> bool:
        before = switches()
        time.sleep(seconds)
        return switches() == before

    until(lambda: slept(2.5), _SOON_S, switches)  # messages of the start are confirmed by then


def _password(tmp_path: Path, text: str) -> str:
    (tmp_path / "password").write_text(f"{text}\n")
    return "password"


def test_who_is_not_let_in_says_why(
    make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path, caplog: Any
) -> None:
    """A refused login is one log line with the broker's reason, and is tried again."""
    with Mosquitto(tmp_path / "mosquitto", users={"edge": "secret"}) as broker:
        section = {"host": "127.0.0.1", "port": broker.port, "user": "edge"}
        caplog.set_level("INFO", "edge.gateway.mqtt")
        start_gateway(make_config(mqtt={**section, "password_file": _password(tmp_path, "wrong")}))
        until(lambda: "not authorized" in caplog.text, _SOON_S, lambda: caplog.text)
        _password(tmp_path, "secret")
        until(lambda: "connected to" in caplog.text, _SOON_S, lambda: caplog.text)


def test_a_topic_that_the_broker_forbids_is_reported(
    make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path, caplog: Any
) -> None:
    """A denied discovery topic is logged, because otherwise a device would be missing without any message."""
    acl = "user edge\ntopic readwrite edge/#\ntopic read homeassistant/status\n"
    with Mosquitto(tmp_path / "mosquitto", users={"edge": "secret"}, acl=acl) as broker:
        section = {
            "host": "127.0.0.1",
            "port": broker.port,
            "user": "edge",
            "password_file": _password(tmp_path, "secret"),
        }
        caplog.set_level("INFO", "edge.gateway.mqtt")
        start_gateway(make_config(mqtt=section))
        until(lambda: "may not write to homeassistant/device/" in caplog.text, _SOON_S, lambda: caplog.text)


def test_tls(make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path, caplog: Any) -> None:
    """TLS works with a private CA, and a broker with a certificate of another CA is not used."""
    good, other = make_pair(tmp_path / "good"), make_pair(tmp_path / "other")
    lines = [f"certfile {good[0]}", f"keyfile {good[1]}"]
    with Mosquitto(tmp_path / "mosquitto", lines=lines) as broker:
        caplog.set_level("INFO", "edge.gateway.mqtt")
        section = {"host": "127.0.0.1", "port": broker.port}
        first = start_gateway(make_config(mqtt={**section, "tls_ca": str(other[0])}))
        until(lambda: "certificate verify failed" in caplog.text.lower(), _SOON_S, lambda: caplog.text)
        first.stop()
        start_gateway(make_config(mqtt={**section, "tls_ca": str(good[0])}))
        until(lambda: "connected to" in caplog.text, _SOON_S, lambda: caplog.text)


def test_the_governor_reads_sensors_by_mqtt(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A battery reported by MQTT allows work, a surplus of the house means surplus, and silence means unknown."""
    broker = {"host": "127.0.0.1", "port": mosquitto.port}
    power = {
        "sources": [
            {"kind": "mqtt", "name": "cells", "topic": "cells", "tells": "charge", "max_age_s": 3, "broker": broker},
            {"kind": "mqtt", "name": "house", "topic": "surplus", "json_path": "w", "broker": broker},
        ],
        "policy": {
            "surplus_watts": 200, "good_samples": 1, "low_samples": 1, "unknown_samples": 1, "resume_after_s": 0,
        },
        "sampling": {"fast_s": 0.2, "sample_s": 0.2, "slow_s": 0.2},
    }  # fmt: skip
    with governor(tmp_path, power) as running:
        running.until(PowerState.LOW)

        def fed() -> bool:
            mosquitto.publish("cells", "71")
            mosquitto.publish("surplus", '{"w": 850}')
            return running.status().state is PowerState.SURPLUS

        until(fed, _SOON_S, running.status)
        found = {each.what: each.value for each in running.status().readings}
        assert found == {"charge": 71, "solar_watts": 850}
        reported = running.until(PowerState.LOW)
        assert "cells: no message for" in reported.reason
        assert running.stop() == 0


def test_every_part_may_be_started_anew(tmp_path: Path) -> None:
    """After a restart of any part all entities come back and none is left; `make mqtt-restarts` does it 100 times."""
    outcome = Campaign(tmp_path, seed=7).run(1)
    assert not outcome.ghosts
    assert not outcome.left
    assert not outcome.faults
