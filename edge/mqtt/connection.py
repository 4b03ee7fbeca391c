"""A connection to an MQTT broker, with its own thread that sleeps until something happens.

It uses paho, not aiomqtt: aiomqtt is a layer over paho that wakes up once a second for the timers of paho. Here the
thread waits for the socket, for `publish`, or for the next ping. With a keep-alive of 300 s an idle connection costs
two packets of two bytes in five minutes. It speaks MQTT 5, in which a broker gives a reason when it refuses something
and sends no message that is larger than the client allows.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config.mqtt import MqttBroker
from edge.core.backoff import Backoff
from edge.core.errors import ConfigError
from edge.core.wakeup import Wakeup

RETRY = Backoff(first_s=0.5, most_s=60.0)
_CONNECT_S = 5.0
_ANSWER_S = 15.0  # longest wait for the answer to a connect
_CLOSE_S = 2.0  # longest time to send the last messages
_REASONS = 8  # largest number of lines in the log about one outage
_WAITING = 512  # largest number of messages that wait for the thread
_MARGIN_S = 0.05  # paho reads the clock by itself, so the thread wakes a little later than due
_TAKEN_OVER = 0x8E  # reason code: another connection with the same client id took over


class Publication(msgspec.Struct, frozen=True):
    """A message to send. With `sure` the broker confirms it (QoS 1)."""

    topic: str
    payload: bytes
    retain: bool = False
    sure: bool = False


class Received(msgspec.Struct, frozen=True):
    """A received message. With `retained` the broker had kept it, so it may be of any age."""

    topic: str
    payload: bytes
    retained: bool


class Listener(Protocol):
    """Gets the events of a connection. All methods are called on its thread. They must return at once and not raise."""

    def up(self) -> None:
        """Note that the connection is up: messages that are published from now on are sent."""

    def down(self) -> None:
        """Note that the connection is lost: messages that were not sent yet are dropped."""

    def received(self, message: Received) -> None:
        """Handle a message on one of the topics."""

    def confirmed(self, topic: str) -> None:
        """Note that the broker has confirmed a publication with `sure`."""


class Connection:
    """Connects to one MQTT broker between `start` and `close`, and reconnects when the connection is lost.

    Its methods may be called from any thread except the thread of the connection.
    """

    def __init__(
        self,
        broker: MqttBroker,
        listener: Listener,
        *,
        client_id: str = "",
        topics: Sequence[str] = (),
        with_retained: bool = True,
        will: Publication | None = None,
        max_bytes: int = 65_536,
        note: Callable[[str], None],
    ) -> None:
        """Prepare a connection.

        Args:
            broker: the address and the credentials.
            listener: gets the events of the connection.
            client_id: identifies this client. A second connection with the same id ends the first. If it is empty, the
                broker chooses an id.
            topics: the topics to subscribe to.
            with_retained: subscribe to the retained messages of these topics, too.
            will: the message that the broker publishes when this connection is lost.
            max_bytes: largest payload that the broker may send.
            note: called on the thread with one line for the log. Each reason of an outage is reported once, not at
                each attempt.
        """
        self.broker = broker
        self._listener, self._client_id, self._topics = listener, client_id, tuple(topics)
        self._with_retained, self._will, self._max_bytes, self._note = with_retained, will, max_bytes, note
        self._wakeup = Wakeup()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._outgoing: deque[Publication] = deque()
        self._topic_of: dict[int, str] = {}  # topic by packet id, for publications that are not confirmed yet
        self._refused: set[str] = set()
        self._last: Sequence[Publication] = ()
        self._up = False
        self._closing = threading.Event()
        self._sent_at = 0.0
        self._why = ""  # why the last attempt failed; empty while connected
        self._noted = set[str]()  # reasons of this outage that were logged
        self._end_reason = ""  # why the present connection ends or is refused; empty if no reason is known

    @property
    def is_up(self) -> bool:
        """True while connected."""
        return self._up

    @property
    def why(self) -> str:
        """The reason why there is no connection; empty while there is one, or before the first attempt."""
        return self._why

    def start(self) -> None:
        """Start the thread, which connects."""
        self._thread.start()

    def publish(self, *publications: Publication) -> bool:
        """Send these messages. Return False, and send nothing, if there is no connection or too many messages wait."""
        if not self._up or len(self._outgoing) + len(publications) > _WAITING:
            return False
        self._outgoing.extend(publications)
        self._wakeup.wake()
        return True

    def close(self, *last: Publication) -> None:
        """Send `last` if there is a connection, then disconnect and end the thread. A second call does nothing.

        This takes at most a few seconds.
        """
        if self._closing.is_set():
            return
        self._last = last
        self._closing.set()
        self._wakeup.wake()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S + 1.0)
        if not self._thread.is_alive():  # a thread that still tries to connect does not keep the process alive
            self._wakeup.close()

    # ---- the thread ----

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            self._end_reason = ""
            why, was_up, taken_over = self._session()
            if self._closing.is_set():
                return
            failures = 1 if was_up and not taken_over else failures + 1
            self._why = why
            if why not in self._noted and len(self._noted) < _REASONS:
                self._noted.add(why)
                self._note(f"{self.broker.address}: {why}; trying again")
            until = time.monotonic() + RETRY.pause_s(failures)
            while not self._closing.is_set() and (left_s := until - time.monotonic()) > 0:
                self._wakeup.wait(left_s)
                self._wakeup.clear()

    def _session(self) -> tuple[str, bool, bool]:
        """Connect, and serve the connection until it ends.

        Returns:
            Why the connection ended, True if it was up, and True if another client with the same id took over.
        """
        try:
            client = self._client()
            client.connect(
                self.broker.host,
                self.broker.tcp_port,
                self.broker.keepalive_s,
                clean_start=True,
                properties=_limits(self._max_bytes),
            )
        except ConfigError as err:
            return str(err), False, False
        except (OSError, ValueError) as err:
            return _plain(err), False, False
        was_up = False
        try:
            was_up = self._serve(client)
        except (OSError, ValueError) as err:  # from TLS, or because the socket was closed between two calls
            self._end_reason = self._end_reason or _plain(err)
        finally:
            was_up = was_up or self._up
            self._ended()
            with contextlib.suppress(OSError):
                _hang_up(client)
        taken_over = self._end_reason == _reason(_TAKEN_OVER)
        return self._end_reason or "the connection was lost", was_up, taken_over

    def _serve(self, client: paho.Client) -> bool:
        """Send and receive until the connection ends. Return True if it was up."""
        began = self._sent_at = time.monotonic()
        keepalive_s = self.broker.keepalive_s
        while (sock := client.socket()) is not None:
            now = time.monotonic()
            if not self._up and now - began > _ANSWER_S:
                self._end_reason = f"no answer to the connect for {_ANSWER_S:g} s"
                break
            if self._closing.is_set():
                self._say_goodbye(client)
                break
            due = self._sent_at + keepalive_s if self._up else began + _ANSWER_S
            ready = self._wait(client, sock, max(0.0, due - now) + _MARGIN_S)
            self._wakeup.clear()
            self._send(client)
            if ready:
                self._read(client)
            if client.want_write():
                client.loop_write()
            client.loop_misc()
            if time.monotonic() - self._sent_at > keepalive_s + 1.0:
                self._sent_at = time.monotonic() - keepalive_s + 1.0  # paho is not due yet: look again in a second
        return self._up

    def _wait(self, client: paho.Client, sock: paho.SocketLike, wait_s: float) -> bool:
        """Sleep until the socket is ready, `publish` is called or the time is over. Return True if it can be read."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(self._wakeup.fileno(), select.POLLIN)
        poll.register(sock.fileno(), select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        return any(fd == sock.fileno() and event & ~select.POLLOUT for fd, event in poll.poll(wait_s * 1000))

    @staticmethod
    def _read(client: paho.Client) -> None:
        client.loop_read()
        while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
            client.loop_read()

    def _send(self, client: paho.Client) -> None:
        while self._up and self._outgoing:
            self._put(client, self._outgoing.popleft())

    def _put(self, client: paho.Client, each: Publication) -> None:
        info = client.publish(each.topic, each.payload, qos=1 if each.sure else 0, retain=each.retain)
        if each.sure and info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._topic_of[info.mid] = each.topic

    def _say_goodbye(self, client: paho.Client) -> None:
        """Send the last messages, wait until they are sent and those with `sure` are confirmed, then disconnect."""
        if self._up:
            self._send(client)
            for each in self._last:
                self._put(client, each)
        until = time.monotonic() + _CLOSE_S
        while (sock := client.socket()) is not None and (self._topic_of or client.want_write()):
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            if self._wait(client, sock, left_s):
                self._read(client)
            if client.want_write():
                client.loop_write()
            self._wakeup.clear()
        client.disconnect()
        with contextlib.suppress(OSError, ValueError):
            client.loop_write()

    def _ended(self) -> None:
        was_up, self._up = self._up, False
        self._outgoing.clear()
        self._topic_of.clear()
        if was_up:
            self._listener.down()

    # ---- paho's callbacks, on the thread ----

    def _client(self) -> paho.Client:
        """Return a client with credentials, TLS and last will. Raises ConfigError, OSError, ValueError."""
        broker = self.broker
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=paho.MQTTv5)
        client.connect_timeout = _CONNECT_S
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password())
        if broker.tls_ca is not None:
            try:
                context = ssl.create_default_context(cafile=broker.tls_ca)
                context.sslsocket_class = _ClosingSocket
                client.tls_set_context(context)
            except OSError as err:
                raise ConfigError("mqtt.tls_ca", str(broker.tls_ca), _plain(err)) from err
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=self._will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_register_write = self._on_register_write
        return client

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._end_reason = f"refused: {str(code).lower()}"
            return
        if self._topics:
            options = SubscribeOptions(qos=1, retainHandling=0 if self._with_retained else 2)
            client.subscribe([(topic, options) for topic in self._topics])
        else:
            self._now_up()

    def _now_up(self) -> None:
        self._up = True
        self._why = ""
        self._noted.clear()
        self._note(f"connected to {self.broker.address}")
        self._listener.up()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._end_reason = self._end_reason or ("the connection was lost" if code.value == 0x80 else str(code).lower())

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._listener.received(Received(topic, bytes(message.payload), bool(message.retain)))

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        topic = self._topic_of.pop(mid, None)
        if topic is None:
            return
        if code.is_failure:
            self._say_refused("write to", topic, code)
        else:
            self._listener.confirmed(topic)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic, code in zip(self._topics, codes, strict=False):
            if code.is_failure:
                self._say_refused("read", topic, code)
        self._now_up()  # from now on messages on the subscribed topics arrive

    def _on_register_write(self, _client: paho.Client, _data: object, _sock: paho.SocketLike) -> None:
        self._sent_at = time.monotonic()

    def _say_refused(self, what: str, topic: str, code: ReasonCode) -> None:
        if topic not in self._refused and len(self._refused) < _WAITING:
            self._refused.add(topic)
            self._note(f"{self.broker.address}: user {self.broker.user!r} may not {what} {topic}: {str(code).lower()}")


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself if the TLS handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _limits(max_bytes: int) -> Properties:
    """Return the limits of what the broker may send at once. They bound the memory that received messages take."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
    properties.MaximumPacketSize = max_bytes + 1024
    properties.ReceiveMaximum = 16
    return properties


def _hang_up(client: paho.Client) -> None:
    """Close the socket of a client that is no longer used."""
    sock = client.socket()
    if sock is not None:
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def _reason(code: int) -> str:
    return str(ReasonCode(PacketTypes.DISCONNECT, identifier=code)).lower()


def _plain(err: Exception) -> str:
    """Return an error as one short line."""
    text = getattr(err, "strerror", None) or str(err) or type(err).__name__
    return " ".join(str(text).split())[:200]
