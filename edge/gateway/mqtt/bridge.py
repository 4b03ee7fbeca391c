"""Connects the board to an MQTT broker: announces the board, publishes changed values and passes on commands.

An outage of the MQTT broker delays nothing. The connection has its own thread, no message is kept for a broker that is
down, and everything is published again after the outage. During an outage the bridge watches nothing.
"""

from __future__ import annotations

import asyncio
import platform
import random
import re
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.core.errors import StorageError
from edge.gateway.http.auth import Authenticator
from edge.gateway.mqtt.announced import Announced, AnnouncedFile, Place
from edge.gateway.mqtt.commands import Commands
from edge.gateway.mqtt.entities import OFFLINE, ONLINE, QUANTITIES, Topics, document, entities
from edge.gateway.mqtt.log_limit import log
from edge.gateway.mqtt.pace import Pace
from edge.gateway.mqtt.snapshot import LastFailure, reported, snapshot
from edge.gateway.mqtt.submit import MAX_BYTES, SubmitByTopic
from edge.gateway.mqtt.withdraw import withdraw
from edge.gateway.service import Appliance
from edge.model import JobState
from edge.mqtt.connection import Connection, Publication, Received
from edge.power.sources import configured
from edge.wire import Event

#: Time for which changes are gathered, and shortest time between two looks at the values.
_GATHER_S, _LOOK_EVERY_S = 0.2, 1.0
#: Wait after an unexpected error.
_AGAIN_S = 10.0
#: Largest number of received messages that wait for the event loop. Further ones are dropped.
_WAITING = 256
#: Random delay before the answer to a Home Assistant that has started, so that boards do not all answer at once.
_BIRTH_S = (0.1, 1.0)
_MODEL = Path("/proc/device-tree/model")
_encode = msgspec.json.Encoder(order="deterministic").encode


class _ToLoop:
    """Passes the events of the connection from its thread to the bridge on the event loop."""

    def __init__(self, bridge: Bridge, loop: asyncio.AbstractEventLoop) -> None:
        self._bridge, self._loop = bridge, loop
        self._waiting: deque[Received] = deque()

    def up(self) -> None:
        self._call(self._bridge.up)

    def down(self) -> None:
        self._call(self._bridge.down)

    def received(self, message: Received) -> None:
        if len(self._waiting) >= _WAITING:  # a client that floods the board's topics must not block the gateway
            return
        self._waiting.append(message)
        if len(self._waiting) == 1:
            self._call(self._take)

    def _take(self) -> None:
        """Pass the waiting messages to the bridge. Runs on the event loop."""
        for _ in range(len(self._waiting)):
            self._bridge.received(self._waiting.popleft())
        if self._waiting:
            self._call(self._take)

    def confirmed(self, topic: str) -> None:
        """Do nothing: the bridge waits for no confirmation."""

    def _call(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop has just closed
            return


class Bridge:
    """Keeps the board in MQTT between `start` and `stop`, as far as `mqtt` is configured. Belongs to the event loop."""

    def __init__(self, appliance: Appliance, authenticator: Authenticator) -> None:
        self._appliance = appliance
        self._config, layout = appliance.config.mqtt, appliance.config.layout
        self._file = AnnouncedFile(layout.mqtt)
        self._known = self._file.read()
        broker = self._config.broker if self._config.enabled else None
        topics = Topics(self._known.device, self._config.board or _own_name(), self._config.discovery_prefix)
        self._place = Place(broker, topics) if broker is not None else None
        self._topics = topics
        self._commands = Commands(layout, topics) if self._config.controls else None
        self._submit = (
            SubmitByTopic(appliance, authenticator, self._config.submit, topics, self._publish)
            if self._config.submit
            else None
        )
        self._connection: Connection | None = None
        self._pace = Pace()
        self._failure = LastFailure()
        self._declared = _declared(appliance)
        self._following = ExitStack()
        self._announce_at: float | None = None  # time of the next announcement by the loop's clock, or None
        self._birth_seen = False  # a Home Assistant has started since the last announcement
        self._look_at: float | None = None  # time at which `_run` wakes up by the loop's clock, or None
        self._looked_at = 0.0  # when `_run` last woke up
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connection(self) -> Connection | None:
        """The connection, or None if no MQTT broker is configured."""
        return self._connection

    def start(self) -> None:
        """Connect in the background, and remove what earlier configurations left at brokers."""
        self._known = self._known.at(self._place).knowing(_fingerprint(self._appliance), ())
        self._tasks.append(asyncio.create_task(self._run()))
        if self._known.old:
            self._tasks.append(asyncio.create_task(self._clean_up()))

    async def stop(self) -> None:
        """Publish that the board is offline, and disconnect."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._following.close()
        if self._submit is not None:
            await self._submit.close()
        if self._connection is not None:
            offline = Publication(self._topics.online, OFFLINE.encode(), retain=True, sure=True)
            await asyncio.to_thread(self._connection.close, offline)

    # ---- events of the connection, on the loop ----

    def up(self) -> None:
        """Publish everything again after a connect, because the broker may have forgotten it."""
        self._pace.forget()
        self._following.close()
        try:
            self._following.enter_context(self._appliance.readers.following(self._noticed))
        except OSError as err:
            log.error("the status files cannot be watched, so values are not kept current: %s", err)
        self._announce_soon(0.0)

    def down(self) -> None:
        """Stop watching the board, because the connection is lost."""
        self._following.close()
        self._announce_at = None

    def received(self, message: Received) -> None:
        """Pass a message on the board's topics to the part that handles it."""
        if message.topic == self._topics.birth:
            if message.payload == ONLINE.encode():
                self._birth_seen = True
                self._announce_soon(random.uniform(*_BIRTH_S))  # noqa: S311 - not a secret
        elif message.topic == self._topics.submit:
            if self._submit is not None:
                self._submit.take(message)
        elif self._commands is not None:
            self._commands.take(message)

    def _noticed(self, event: Event | None) -> None:
        job = event.job if event is not None else None
        if job is not None and job.state is JobState.FAILED and not job.removed:
            self._failure = LastFailure.of(job)
        self._wake_at(max(asyncio.get_running_loop().time() + _GATHER_S, self._looked_at + _LOOK_EVERY_S))

    def _announce_soon(self, in_s: float) -> None:
        at = asyncio.get_running_loop().time() + in_s
        self._announce_at = at if self._announce_at is None else min(at, self._announce_at)
        self._wake_at(at)

    def _wake_at(self, at: float) -> None:
        """Let `_run` wake up at `at`, or earlier if that is already planned."""
        if self._look_at is not None and self._look_at <= at:
            return
        self._look_at = at
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._changed.set)

    # ---- announcing and publishing ----

    async def _run(self) -> None:
        """Connect, then announce and publish when it is time; sleep in between."""
        # Before the connection is made, because its last will alone leaves a message at the broker.
        await self._remember(self._known)
        if self._place is None:
            return
        await self._load_failure()
        self._connection = self._connect(self._place)
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._look_at = None
            connection = self._connection
            if connection is None or not connection.is_up:
                continue
            self._looked_at = asyncio.get_running_loop().time()
            try:
                await self._turn(self._looked_at)
            except Exception:  # `_run` must not end, because Home Assistant would show the last values forever
                log.exception("values cannot be published; trying again in %g s", _AGAIN_S)
                self._announce_soon(_AGAIN_S)

    async def _turn(self, now: float) -> None:
        """Announce the board if it is due, then publish the values."""
        if self._announce_at is not None:
            if self._announce_at <= now:
                self._announce_at = None
                await self._announce()
            else:
                self._wake_at(self._announce_at)
        await self._publish_state()

    async def _announce(self) -> None:
        """Publish the discovery document, and that the board is online."""
        shown = entities(self._config, self._declared | {*self._known.seen})
        answered, self._birth_seen = self._birth_seen, False
        await self._remember(self._known.showing({each.key: each.platform for each in shown}))
        removed = self._known.removed
        model = _model()
        self._publish_config(document(self._topics, shown, removed, model=model))
        if removed and answered:  # a Home Assistant that has just started has now got the removals
            await self._remember(msgspec.structs.replace(self._known, removed={}))
            self._publish_config(document(self._topics, shown, {}, model=model))
        self._publish(Publication(self._topics.online, ONLINE.encode(), retain=True, sure=True))
        self._pace.forget()

    def _publish_config(self, content: bytes) -> None:
        self._publish(Publication(self._topics.config, content, retain=True, sure=True))

    async def _publish_state(self) -> None:
        """Publish the values if one of them is due."""
        try:
            state = snapshot(self._appliance, self._failure)
        except StorageError as err:
            log.error("the values cannot be read: %s", err)
            return
        await self._learn()
        loop = asyncio.get_running_loop()
        due = self._pace.due(state)
        if due is None:
            return
        if due > loop.time():
            self._wake_at(due)
            return
        first = due == 0.0
        if self._publish(Publication(self._topics.state, _encode(state), retain=True, sure=first)):
            self._pace.published(state, loop.time())

    async def _learn(self) -> None:
        """Announce the entities again if a power source reports a quantity that it did not declare."""
        new = reported(self._appliance.board.verdict().readings) & QUANTITIES - self._declared - {*self._known.seen}
        if new:
            await self._remember(self._known.knowing(self._known.sources, new))
            self._announce_soon(0.0)

    async def _remember(self, known: Announced) -> None:
        """Write to the disk what will be published next."""
        self._known = known
        try:
            async with self._writing:  # two tasks call this; each writes the newest record when it gets the lock
                await asyncio.to_thread(self._file.write, self._known)
        except OSError as err:
            path = self._appliance.config.layout.mqtt
            log.error("%s: %s; what the MQTT broker keeps may have to be removed by hand", path, err.strerror or err)

    async def _clean_up(self) -> None:
        """Remove the retained messages that earlier configurations left at brokers."""
        for place in self._known.old:
            present = self._place
            same = present is not None and present.broker.address == place.broker.address
            keep = present.topics.retained if present is not None and same else ()
            topics = [topic for topic in place.topics.retained if topic not in keep]
            if not await withdraw(place.broker, topics, note=_note):
                text = "what it keeps of this board could not be removed; the next start tries again"
                log.warning("MQTT broker %s: %s", place.broker.address, text)
                continue
            log.info("MQTT broker %s keeps nothing of %s any more", place.broker.address, place.topics.base)
            await self._remember(self._known.without(place))
            if self._connection is not None and self._connection.is_up:
                self._announce_soon(0.0)  # the former broker may be the present one under another name

    async def _load_failure(self) -> None:
        try:
            found = await self._appliance.outbox.look(lambda ledger: ledger.page(states=(JobState.FAILED,), limit=1))
        except StorageError as err:
            log.error("the last failure cannot be read: %s", err)
            return
        if found and self._failure.at is None:
            job = found[0]
            self._failure = LastFailure(f"{job.task} {job.id}: {job.message}", job.finished_at)

    def _publish(self, publication: Publication) -> bool:
        return self._connection is not None and self._connection.publish(publication)

    def _connect(self, place: Place) -> Connection:
        topics = [self._topics.birth]
        topics += self._commands.subscribed if self._commands is not None else ()
        topics += [self._topics.submit] if self._submit is not None else ()
        connection = Connection(
            place.broker,
            _ToLoop(self, asyncio.get_running_loop()),
            client_id=self._topics.device,
            topics=topics,
            will=Publication(self._topics.online, OFFLINE.encode(), retain=True),
            max_bytes=MAX_BYTES,
            note=_note,
        )
        connection.start()
        return connection


def _note(line: str) -> None:
    log.info("MQTT broker %s", line)


def _own_name() -> str:
    """Return the host name in a form that is one level of a topic."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", platform.node()).strip("-_")[:64] or "board"


def _model() -> str:
    try:
        return _MODEL.read_text().strip("\0\n ")[:64] or platform.machine()
    except (OSError, UnicodeDecodeError):
        return platform.machine()


def _declared(appliance: Appliance) -> frozenset[str]:
    """Return the quantities that the power sources declare and that entities show."""
    power = appliance.config.power
    found = set[str]()
    for record in configured(power):
        try:
            found.update(quantity.what for quantity in record.quantities(power))
        except Exception as err:  # a source from another package may raise anything
            log.warning("power source %s: its quantities are not known: %s", record.label, err)
    return frozenset(found & QUANTITIES)


def _fingerprint(appliance: Appliance) -> str:
    return sha256(_encode(msgspec.to_builtins(appliance.config.power.sources, enc_hook=str))).hexdigest()[:16]
