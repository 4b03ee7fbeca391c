"""Checks of MQTT: the login at the broker, and topics that earlier configurations left at other brokers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from edge.access.tokens import BadTokenFile, Scope, Tokens
from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.config import Config
from edge.config.mqtt import MqttBroker
from edge.core.errors import ConfigError

_PATIENCE_S = 10.0


def broker(config: Config, *, patience_s: float = _PATIENCE_S) -> Iterator[Finding]:
    """Check that the MQTT broker accepts this board's login.

    If jobs can be submitted by topic, check also that the broker refuses clients without a password.
    """
    wanted = config.mqtt.broker
    if wanted is not None and config.mqtt.enabled:
        try:
            wanted.password()
        except ConfigError as err:
            yield fail("mqtt", str(err), "write the password of the MQTT user into mqtt.password_file, mode 0640")
            return
        why = _refusal(wanted, patience_s)
        if why:
            advice = "check that the broker runs, and check mqtt.host, port, user and password_file"
            yield fail("mqtt", f"{wanted.address}: {why}", advice)
        elif wanted.user is not None and wanted.tls_ca is None and not wanted.local:
            text = (
                f"{wanted.address} accepts the login as {wanted.user}, but anybody who listens on the network can read "
                "the password"
            )
            yield warn("mqtt", text, "set mqtt.tls_ca to the PEM file of the CA that issued the broker's certificate")
        else:
            yield ok("mqtt", f"{wanted.address} accepts the login" + (f" as {wanted.user}" if wanted.user else ""))
        yield from _submit(config, wanted, reached=not why, patience_s=patience_s)
    yield from _left(config.layout.mqtt)


def _submit(config: Config, wanted: MqttBroker, *, reached: bool, patience_s: float) -> Iterator[Finding]:
    """Check that the token for jobs by topic exists, and that clients without a password cannot submit any."""
    submit = config.mqtt.submit
    if submit is None:
        return
    try:
        tokens = {token.name: token for token in Tokens(config.layout.tokens, paired=config.layout.paired).list()}
    except BadTokenFile as err:
        yield warn("mqtt.submit", str(err), "run `sudo edge doctor` to check the tokens too")
        return
    token = tokens.get(submit.token)
    if token is None or not {Scope.SUBMIT, Scope.ADMIN} & set(token.scopes):
        text = f"there is no token {submit.token!r} with scope submit, so nobody can submit by topic"
        yield warn("mqtt.submit", text, f"edge token add {submit.token}")
    stranger = MqttBroker(host=wanted.host, port=wanted.port, tls_ca=wanted.tls_ca)
    if reached and not _refusal(stranger, patience_s):
        text = f"{wanted.address} accepts clients without a password: anybody on the network may submit jobs"
        yield warn("mqtt.submit", text, "set `allow_anonymous false` in the configuration of the broker")


def _left(path: Path) -> Iterator[Finding]:
    """Report topics that could not be removed from brokers that are no longer configured."""
    if not path.exists():
        return
    from edge.gateway.mqtt.announced import AnnouncedFile  # reads one file; needs neither aiohttp nor paho

    for place in AnnouncedFile(path).read().old:
        at, topics = place.broker, place.topics
        login = f" -u {at.user} -P PASSWORD" if at.user else ""
        host = f"mosquitto_pub -h {at.host} -p {at.tcp_port}{login} -r -n -t"
        text = f"{at.address} still keeps topics of {topics.base}; the gateway tries to remove them at each start"
        yield warn(
            "mqtt", text, f"to remove them by hand, run: {'; '.join(f'{host} {topic}' for topic in topics.retained)}"
        )


class _Try:
    """Listens to one connection. `done` is set when the login succeeded or failed.

    The thread of the connection calls its methods.
    """

    def __init__(self) -> None:
        self.done = threading.Event()  # set when the login succeeded or failed
        self.connected = False

    def up(self) -> None:
        """Note that the broker accepted the login."""
        self.connected = True
        self.done.set()

    def down(self) -> None:
        """Ignore the end of the connection."""

    def received(self, message: object) -> None:
        """Ignore messages: nothing is subscribed."""

    def confirmed(self, topic: str) -> None:
        """Ignore confirms: nothing is published."""

    def note(self, line: str) -> None:
        """Note that the connection failed, unless `line` says that it is established."""
        if not self.connected and "connected to" not in line:
            self.done.set()


def _refusal(wanted: MqttBroker, patience_s: float) -> str:
    """Return why the login did not succeed, or "" if the broker accepted it."""
    from edge.mqtt.connection import Connection  # loads paho, so only if MQTT is configured

    attempt = _Try()
    connection = Connection(wanted, attempt, note=attempt.note)
    connection.start()
    try:
        if not attempt.done.wait(patience_s):
            return f"no answer for {patience_s:g} s"
        return "" if attempt.connected else connection.why or "the connection was lost"
    finally:
        connection.close()
