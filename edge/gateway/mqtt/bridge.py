"""Holds the board's side of MQTT together: one connection, what it announces, and what goes out when.

An MQTT broker that is away delays nothing: the connection lives on a thread of its own, nothing is kept for it, and
everything is published anew once it is back. While it is away nothing is watched here either.
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

#: Changes within the first time are looked at together. Two looks are at least the second time apart.
_GATHER_S, _LOOK_EVERY_S = 0.2, 1.0
#: Wait after an unexpected error.
_AGAIN_S = 10.0
#: Messages of others that wait for the loop; what comes beyond that is dropped.
_WAITING = 256
#: A Home Assistant that starts asks all devices at once: answer within this time, not all at the same moment.
_BIRTH_S = (0.1, 1.0)
_MODEL = Path("/proc/device-tree/model")
_encode = msgspec.json.Encoder(order="deterministic").encode


class _ToLoop:
    """What happens on the connection's thread, told on the event loop."""

    def __init__(self, bridge: Bridge, loop: asyncio.AbstractEventLoop) -> None:
        self._bridge, self._loop = bridge, loop
        self._waiting: deque[Received] = deque()

    def up(self) -> None:
        self._call(self._bridge.up)

    def down(self) -> None:
        self._call(self._bridge.down)

    def received(self, message: Received) -> None:
        if len(self._waiting) >= _WAITING:  # a client that floods our topics must not hold up the gateway
            return
        self._waiting.append(message)
        if len(self._waiting) == 1:
            self._call(self._take)

    def _take(self) -> None:
        """On the loop: hand over what waits."""
        for _ in range(len(self._waiting)):
            self._bridge.received(self._waiting.popleft())
        if self._waiting:
            self._call(self._take)

    def confirmed(self, topic: str) -> None:
        """Nothing: the bridge waits for no confirmation."""

    def _call(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop has just closed
            return


class Bridge:
    """Between `start` and `stop` the board is in MQTT, as far as it is configured. Belongs to the event loop."""

    def __init__(self, appliance: Appliance, door: Authenticator) -> None:
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
            SubmitByTopic(appliance, door, self._config.submit, topics, self._publish) if self._config.submit else None
        )
        self._connection: Connection | None = None
        self._pace = Pace()
        self._failure = LastFailure()
        self._declared = _declared(appliance)
        self._following = ExitStack()
        self._announce_at: float | None = None  # of the loop's clock
        self._births = False  # a Home Assistant has started since the last announcement
        self._look_at: float | None = None
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connection(self) -> Connection | None:
        """The connection, where there is an MQTT broker to speak to."""
        return self._connection

    def start(self) -> None:
        """Connect in the background, and tidy up what earlier configurations left at brokers."""
        self._known = self._known.at(self._place).knowing(_fingerprint(self._appliance), ())
        self._tasks.append(asyncio.create_task(self._run()))
        if self._known.old:
            self._tasks.append(asyncio.create_task(self._tidy_up()))

    async def stop(self) -> None:
        """Say that the board is offline, and disconnect."""
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

    # ---- what happens; on the loop ----

    def up(self) -> None:
        """Connected: everything is published anew, for the broker may have forgotten it."""
        self._pace.forget()
        self._following.close()
        try:
            self._following.enter_context(self._appliance.readers.following(self._noticed))
        except OSError as err:
            log.error("the status files cannot be watched, so values are not kept current: %s", err)
        self._announce_soon(0.0)

    def down(self) -> None:
        """No connection: nobody looks at the board."""
        self._following.close()
        self._announce_at = None

    def received(self, message: Received) -> None:
        """A message on one of our topics."""
        if message.topic == self._topics.birth:
            if message.payload == ONLINE.encode():
                self._births = True
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
        """Let `_run` look at `at`, or earlier where it is to do so already."""
        if self._look_at is not None and self._look_at <= at:
            return
        self._look_at = at
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._changed.set)

    # ---- what is done about it ----

    async def _run(self) -> None:
        """Connect, then announce and publish whenever it is time to; sleeps in between."""
        # Written before there is a connection: its last will alone leaves a message at the broker.
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
            except Exception:  # a bridge that ended here would leave the board looking dead in Home Assistant
                log.exception("values cannot be published; trying again in %g s", _AGAIN_S)
                self._announce_soon(_AGAIN_S)

    async def _turn(self, now: float) -> None:
        """What is due now: announce, publish."""
        if self._announce_at is not None:
            if self._announce_at <= now:
                self._announce_at = None
                await self._announce()
            else:
                self._wake_at(self._announce_at)
        await self._publish_state()

    async def _announce(self) -> None:
        """Say what entities there are, and that the board is online."""
        shown = entities(self._config, self._declared | {*self._known.seen})
        answered, self._births = self._births, False
        await self._remember(self._known.showing({each.key: each.platform for each in shown}))
        removed = self._known.removed
        model = _model()
        self._publish_config(document(self._topics, shown, removed, model=model))
        if removed and answered:  # the Home Assistant that has just started was told by now
            await self._remember(msgspec.structs.replace(self._known, removed={}))
            self._publish_config(document(self._topics, shown, {}, model=model))
        self._publish(Publication(self._topics.online, ONLINE.encode(), retain=True, sure=True))
        self._pace.forget()

    def _publish_config(self, content: bytes) -> None:
        self._publish(Publication(self._topics.config, content, retain=True, sure=True))

    async def _publish_state(self) -> None:
        """Publish the values where one of them is due."""
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
        """Announce anew once a source reports something that it did not declare."""
        new = reported(self._appliance.board.verdict().readings) & QUANTITIES - self._declared - {*self._known.seen}
        if new:
            await self._remember(self._known.knowing(self._known.sources, new))
            self._announce_soon(0.0)

    async def _remember(self, known: Announced) -> None:
        """Keep on disk what is about to be published."""
        self._known = known
        try:
            async with self._writing:  # two tasks call this; each writes what is known when its turn comes
                await asyncio.to_thread(self._file.write, self._known)
        except OSError as err:
            path = self._appliance.config.layout.mqtt
            log.error("%s: %s; what the MQTT broker keeps may have to be removed by hand", path, err.strerror or err)

    async def _tidy_up(self) -> None:
        """Remove what earlier configurations left at brokers."""
        for place in self._known.old:
            left = self._place
            same = left is not None and left.broker.address == place.broker.address
            keep = left.topics.retained if left is not None and same else ()
            topics = [topic for topic in place.topics.retained if topic not in keep]
            if not await withdraw(place.broker, topics, note=_note):
                text = "what it keeps of this board could not be removed; the next start tries again"
                log.warning("MQTT broker %s: %s", place.broker.address, text)
                continue
            log.info("MQTT broker %s keeps nothing of %s any more", place.broker.address, place.topics.base)
            await self._remember(self._known.without(place))
            if self._connection is not None and self._connection.is_up:
                self._announce_soon(0.0)  # it may have been the same broker by another name

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
    """The host name as one level of a topic."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", platform.node()).strip("-_")[:64] or "board"


def _model() -> str:
    try:
        return _MODEL.read_text().strip("\0\n ")[:64] or platform.machine()
    except (OSError, UnicodeDecodeError):
        return platform.machine()


def _declared(appliance: Appliance) -> frozenset[str]:
    """The quantities that the power sources declare, as far as entities show them."""
    power = appliance.config.power
    found = set[str]()
    for record in configured(power):
        try:
            found.update(quantity.what for quantity in record.quantities(power))
        except Exception as err:  # a kind from elsewhere may raise anything
            log.warning("power source %s: what it reports is not known: %s", record.label, err)
    return frozenset(found & QUANTITIES)


def _fingerprint(appliance: Appliance) -> str:
    return sha256(_encode(msgspec.to_builtins(appliance.config.power.sources, enc_hook=str))).hexdigest()[:16]
