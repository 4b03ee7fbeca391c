"""Checks of what should be running: broker, governor, workers, gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.config import BrokerConfig, WorkerEntry
from edge.config.power import PowerConfig
from edge.config.records import NodeConfig
from edge.core.errors import EdgeError, NotAllowed
from edge.core.host import boot_id, process_alive, process_stopped
from edge.core.layout import Layout
from edge.model import PowerState, WorkerState, WorkerStatus

if TYPE_CHECKING:
    from edge.client import Client

_OLDEST = (3, 10)


def broker(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float = 10.0) -> Iterator[Finding]:
    """RabbitMQ takes us in, and each queue has a leader that answers: an open port alone says little.

    `more` are the queues that this board wants beside the usual ones.
    """
    from edge.broker import topology  # kombu: the device extra
    from edge.broker.refusal import cure
    from edge.broker.topology import reached

    address = f"{config.host}:{config.port}"
    try:
        with reached(config, timeout_s=timeout_s) as channel:
            properties = channel.connection.server_properties
    except EdgeError as err:
        down = "`edge up` runs a private one; on an appliance: systemctl status rabbitmq-server"
        refused = any(word in str(err) for word in ("ACCESS_REFUSED", "NOT_ALLOWED"))
        yield fail("broker", str(err), _credentials(config) if refused else down)
        return
    version = str(properties.get("version", "?"))
    text = f"{properties.get('product', 'RabbitMQ')} {version} at {address}"
    if _numbers(version) < _OLDEST:
        yield fail("broker", text, "RabbitMQ 3.10 or later: quorum queues of older ones lose messages")
        return
    yield ok("broker", text)
    counts, missing = {}, []
    for name in (*(queue.name for queue in topology.QUEUES.values()), *more, topology.DEAD_NAME):
        try:
            # A connection for each: a queue that is not there closes the channel it was asked for on.
            with reached(config, timeout_s=timeout_s) as channel:
                count = channel.queue_declare(queue=name, passive=True).message_count
        except EdgeError as err:
            if "NOT_FOUND" in str(err) or "no queue" in str(err):
                missing.append(name)
            elif remedy := cure(err.__cause__):
                yield fail("queues", f"{name}: {err}", remedy)
            else:
                advice = (
                    "nothing to do: the broker is started again for it, and given a new store if that does not help"
                )
                yield fail("queues", f"{name} does not answer: {err}", advice)
            continue
        if other := _declared_otherwise(config, name, timeout_s=timeout_s):
            yield other
        else:
            counts[name] = count
    if missing:
        yield warn("queues", f"not there yet: {', '.join(missing)}", "gateway and worker make them when they start")
    if counts.pop(topology.DEAD_NAME, 0):
        yield warn(
            "queues", f"{topology.DEAD_NAME} holds messages the broker gave up on", "a worker ends them as failed"
        )
    if counts:
        yield ok("queues", ", ".join(f"{name} {count}" for name, count in counts.items()) + " waiting")


def _declared_otherwise(config: BrokerConfig, name: str, *, timeout_s: float) -> Finding | None:
    """What is wrong with a queue that is there with other properties: gateway and worker refuse to work with it."""
    from edge.broker.refusal import cure
    from edge.broker.topology import queue, reached

    try:
        with reached(config, timeout_s=timeout_s) as channel:
            queue(name)(channel).queue_declare()
    except EdgeError as err:
        # A node's user may only look at queues, which is as it should be.
        if "inequivalent" in str(err):
            return fail("queues", f"{name} has other properties than ours: {err}", cure(err.__cause__))
    return None


def complaints(layout: Layout) -> Iterator[Finding]:
    """Nobody waits for the broker to be started again because its queues are dead."""
    try:
        found = sorted(path for path in layout.complaints.iterdir() if not path.name.startswith("."))
    except OSError:
        return  # nobody ever complained, or not for this user to see
    for path in found:
        with suppress(OSError):  # taken back meanwhile
            text = f"{path.name} says: {path.read_text().strip()}"
            yield warn("broker", text, "it is started again by itself once its disk has room; jobs are kept meanwhile")


def _credentials(config: BrokerConfig) -> str:
    if config.password_file is None:
        return "set broker.user and broker.password_file in edge.yaml"
    return f"check user {config.user!r}, {config.password_file} and vhost {config.vhost!r} against the broker's"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def power(layout: Layout) -> Iterator[Finding]:
    """The governor lives and its word is fresh: without it nothing is run."""
    from edge.power.status import read  # a board's part

    said = read(layout.power)
    if said.state is PowerState.UNKNOWN:
        yield fail("power", said.reason, f"nothing is run until {said.until or 'the governor knows better'}")
    else:
        yield ok("power", f"{said.state}: {said.reason}")


def sleep(power: PowerConfig) -> Iterator[Finding]:
    """Whether a board that is to sleep can wake by itself; nothing where it never sleeps."""
    from edge.power.sleep import means  # a board's part

    if power.sleep.when == "never":
        return
    if power.sleep.wake == "light":
        yield ok("sleep", f"{power.sleep.when}: lightly, with the board on")
    elif why := means.obstacle(power):
        yield warn("sleep", why, "it does not go down, and sleeps lightly in its place")
    elif power.sleep.ups_returns:
        yield ok("sleep", f"{power.sleep.when}: a UPS switches the power back on (power.sleep.ups_returns)")
    elif not means.may_set(power.critical.wakealarm):
        advice = "run this as the user of the governor, or as root, to know"
        yield warn("sleep", f"{power.critical.wakealarm} cannot be written by this user", advice)
    else:
        yield ok("sleep", f"{power.sleep.when}: {power.critical.wakealarm} wakes it")


def workers(layout: Layout, wanted: Iterable[WorkerEntry] = ()) -> Iterator[Finding]:
    """Some worker lives, as does each of those that are `wanted`, and says nothing of trouble."""
    living = set[str]()
    for path in sorted(layout.run.glob("worker-*.json")):
        try:
            said = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
        except (OSError, ValueError) as err:
            yield warn("worker", f"{path} cannot be read: {err}", "a worker writes it anew when it starts")
            continue
        if said.boot_id != boot_id() or not process_alive(said.pid) or said.state is WorkerState.STOPPED:
            continue
        living.add(said.name)
        if said.reason:
            yield warn("worker", f"{said.name} holds: {said.reason}", "it goes on by itself once that is over")
        elif process_stopped(said.pid) and not layout.frozen(said.name).exists():
            yield warn("worker", f"{said.name} was stopped by a signal", f"kill -CONT {said.pid}")
        elif said.state is WorkerState.DISCONNECTED:
            yield warn("worker", f"{said.name} is not connected to the broker", "see broker above")
        else:
            yield ok("worker", f"{said.name}: {said.state}, process {said.pid}")
    if not living:
        yield fail("worker", "none runs: jobs are kept, none is begun", "`edge up`, or: systemctl start edge-worker")
        return
    for entry in wanted:
        if entry.name not in living:
            what = f"kinds {', '.join(entry.kinds)}" if entry.kinds else f"kinds of pool {entry.takes}"
            text = f"{entry.name} does not run, which takes {what}: their jobs are kept, and may not be begun"
            yield fail("worker", text, f"`edge up`, or: systemctl enable --now {unit(entry)}")


def unit(entry: WorkerEntry) -> str:
    """The systemd unit of a worker that is not the main one."""
    return f"edge-worker@{entry.name}"


def head(config: NodeConfig) -> Iterator[Finding]:
    """The head answers this board, and knows its token."""
    from edge.worker.attempt.head import Head  # a node's part

    try:
        Head(config).ended("none")
    except NotAllowed as err:
        yield fail("head", str(err), "deploy this board again with its head: that gives it a token")
    except EdgeError as err:
        yield fail("head", str(err), "results wait here until it answers; see there: edge doctor")
    else:
        yield ok("head", f"{config.head_url} takes what this board hands in")


def gateway(client: Client) -> Iterator[Finding]:
    """The gateway answers, and could read every task module."""
    from edge import __version__  # to compare

    url = client.settings.url
    try:
        board = client.status()
    except NotAllowed as err:
        yield warn("gateway", f"{url} answers, but: {err}", "give this command a token: EDGE_TOKEN_FILE")
        return
    except EdgeError as err:
        yield fail(
            "gateway", str(err), "`edge up`, or: systemctl status edge-gateway; elsewhere: --url http://BOARD:8420"
        )
        return
    text = f"{url}: edge {board.version} on {board.host or 'a board without name'}"
    if board.version != __version__:
        yield warn("gateway", text, f"this is edge {__version__}; install the same on both sides")
    else:
        yield ok("gateway", text)
    for module, why in board.task_errors.items():
        yield fail("tasks", f"{module}: {why}", "mend it, or take it out of `tasks` in edge.yaml")
    if not board.task_errors:
        yield ok("tasks", f"{board.tasks} kinds of job")
    for sentence in board.unserved:
        text, _, cure = sentence.rpartition("; ")
        yield warn("workers", text or cure, cure)
