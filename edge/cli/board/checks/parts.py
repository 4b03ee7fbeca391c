"""Checks of the running parts: broker, governor, workers, head and gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.config import BrokerConfig, WorkerEntry
from edge.config.power import PowerConfig
from edge.config.records import NodeConfig
from edge.core import stored
from edge.core.errors import EdgeError, NotAllowed
from edge.core.host import boot_id, process_alive, process_stopped
from edge.core.layout import Layout
from edge.model import PowerState, WorkerState, WorkerStatus

if TYPE_CHECKING:
    from edge.client import Client

_OLDEST = (3, 10)  # the oldest version of RabbitMQ that is supported


def broker(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float = 10.0) -> Iterator[Finding]:
    """Check that RabbitMQ accepts the login, and that each queue has a leader that answers.

    An open port alone does not show that the queues work.

    Args:
        config: how to reach the broker.
        more: names of queues that this board needs in addition to the usual ones.
        timeout_s: the longest time to wait for an answer.
    """
    from edge.broker import topology  # needs kombu of the device extra
    from edge.broker.refusal import cure
    from edge.broker.topology import open_channel

    address = f"{config.host}:{config.port}"
    try:
        with open_channel(config, timeout_s=timeout_s) as channel:
            properties = channel.connection.server_properties
    except EdgeError as err:
        down = (
            "start the broker: `edge up` starts a private one; on an appliance run `systemctl status rabbitmq-server`"
        )
        refused = any(word in str(err) for word in ("ACCESS_REFUSED", "NOT_ALLOWED"))
        yield fail("broker", str(err), _credentials(config) if refused else down)
        return
    version = str(properties.get("version", "?"))
    text = f"{properties.get('product', 'RabbitMQ')} {version} at {address}"
    if _numbers(version) < _OLDEST:
        yield fail("broker", text, "install RabbitMQ 3.10 or later: quorum queues of older versions lose messages")
        return
    yield ok("broker", text)
    counts, missing = {}, []
    for name in (*(queue.name for queue in topology.QUEUES.values()), *more, topology.DEAD_NAME):
        try:
            # A connection for each queue: asking for a queue that does not exist makes the broker close the channel.
            with open_channel(config, timeout_s=timeout_s) as channel:
                count = channel.queue_declare(queue=name, passive=True).message_count
        except EdgeError as err:
            if "NOT_FOUND" in str(err) or "no queue" in str(err):
                missing.append(name)
            elif remedy := cure(err.__cause__):
                yield fail("queues", f"{name}: {err}", remedy)
            else:
                advice = (
                    "nothing to do: the broker is restarted automatically; if that does not help, it gets a new store"
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
        text = f"{topology.DEAD_NAME} holds messages that the broker moved to it"
        yield warn("queues", text, "nothing to do: a worker ends their jobs as failed")
    if counts:
        yield ok("queues", ", ".join(f"{name} {count}" for name, count in counts.items()) + " waiting")


def _declared_otherwise(config: BrokerConfig, name: str, *, timeout_s: float) -> Finding | None:
    """Return a finding if the queue exists with other arguments: gateway and worker refuse to work with it."""
    from edge.broker.refusal import cure
    from edge.broker.topology import open_channel, queue

    try:
        with open_channel(config, timeout_s=timeout_s) as channel:
            queue(name)(channel).queue_declare()
    except EdgeError as err:
        # A node's user has no right to declare queues. That error is expected.
        if "inequivalent" in str(err):
            return fail(
                "queues", f"{name} was declared with other arguments than edge uses: {err}", cure(err.__cause__)
            )
    return None


def complaints(layout: Layout) -> Iterator[Finding]:
    """Report each open request to restart the broker because its queues do not answer."""
    try:
        found = sorted(path for path in layout.complaints.iterdir() if not path.name.startswith("."))
    except OSError:
        return  # there was no request yet, or this user may not read the folder
    for path in found:
        with suppress(OSError):  # the request was removed meanwhile
            text = f"{path.name} says: {path.read_text().strip()}"
            yield warn("broker", text, "it is restarted automatically once its disk has room; jobs are kept meanwhile")


def _credentials(config: BrokerConfig) -> str:
    if config.password_file is None:
        return "set broker.user and broker.password_file in edge.yaml"
    return f"compare user {config.user!r}, {config.password_file} and vhost {config.vhost!r} with those in the broker"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def power(layout: Layout) -> Iterator[Finding]:
    """Check that the governor runs, its report is recent, and the power state is known."""
    from edge.power.status import read  # loaded on a board only

    report = read(layout.power)
    if report.state is PowerState.UNKNOWN:
        yield fail("power", report.reason, f"nothing is run until {report.until or 'the state is known'}")
    else:
        yield ok("power", f"{report.state}: {report.reason}")


def sleep(power: PowerConfig) -> Iterator[Finding]:
    """Check that a board that sleeps can wake up by itself. Yields nothing if it never sleeps."""
    from edge.power.sleep import means  # loaded on a board only

    if power.sleep.when == "never":
        return
    if power.sleep.wake == "light":
        yield ok("sleep", f"sleeps when {power.sleep.when}: light sleep, the board stays on")
    elif why := means.obstacle(power):
        yield warn("sleep", why, "the board stays on, and uses light sleep instead")
    elif power.sleep.ups_returns:
        yield ok("sleep", f"sleeps when {power.sleep.when}: a UPS switches the power back on (power.sleep.ups_returns)")
    elif not means.may_set(power.critical.wakealarm):
        advice = "to check it, run this as the user of the governor, or as root"
        yield warn("sleep", f"{power.critical.wakealarm} cannot be written by this user", advice)
    else:
        yield ok("sleep", f"sleeps when {power.sleep.when}: {power.critical.wakealarm} wakes the board")


def workers(layout: Layout, wanted: Iterable[WorkerEntry] = ()) -> Iterator[Finding]:
    """Check that at least one worker and each of `wanted` runs, and that none reports a problem."""
    living = set[str]()
    for path in sorted(layout.run.glob("worker-*.json")):
        try:
            status = stored.read(path, WorkerStatus)
        except (OSError, ValueError) as err:
            yield warn("worker", f"{path} cannot be read: {err}", "a worker writes it again when it starts")
            continue
        if status.boot_id != boot_id() or not process_alive(status.pid) or status.state is WorkerState.STOPPED:
            continue
        living.add(status.name)
        if status.reason:
            yield warn(
                "worker", f"{status.name} waits: {status.reason}", "it continues automatically when the reason is gone"
            )
        elif process_stopped(status.pid) and not layout.frozen(status.name).exists():
            yield warn("worker", f"{status.name} was stopped by a signal", f"kill -CONT {status.pid}")
        elif status.state is WorkerState.DISCONNECTED:
            yield warn("worker", f"{status.name} is not connected to the broker", "see broker above")
        else:
            yield ok("worker", f"{status.name}: {status.state}, process {status.pid}")
    if not living:
        yield fail(
            "worker", "no worker runs: jobs are kept, but none starts", "`edge up`, or: systemctl start edge-worker"
        )
        return
    for entry in wanted:
        if entry.name not in living:
            kinds = f"kinds {', '.join(entry.kinds)}" if entry.kinds else f"kinds of pool {entry.takes}"
            text = f"{entry.name}, which takes {kinds}, does not run: their jobs are kept, but may wait for it"
            yield fail("worker", text, f"`edge up`, or: systemctl enable --now {unit(entry)}")


def unit(entry: WorkerEntry) -> str:
    """Return the systemd unit of a worker that is not the main one."""
    return f"edge-worker@{entry.name}"


def head(config: NodeConfig) -> Iterator[Finding]:
    """Check that the head answers this node, and accepts its token."""
    from edge.worker.attempt.head import Head  # loaded on a node only

    try:
        Head(config).ended("none")
    except NotAllowed as err:
        yield fail("head", str(err), "deploy this board again with its head: that gives it a token")
    except EdgeError as err:
        yield fail(
            "head", str(err), "results are kept on this board until the head answers; run `edge doctor` on the head"
        )
    else:
        yield ok("head", f"{config.head_url} accepts the results of this board")


def gateway(client: Client) -> Iterator[Finding]:
    """Check that the gateway answers, has the same version, and could import every module of tasks."""
    from edge import __version__

    url = client.settings.url
    try:
        board = client.status()
    except NotAllowed as err:
        yield warn("gateway", f"{url} answers, but: {err}", "give this command a token: EDGE_TOKEN_FILE")
        return
    except EdgeError as err:
        advice = (
            "start the gateway: `edge up`, or `systemctl status edge-gateway`; "
            "from another machine use --url http://BOARD:8420"
        )
        yield fail("gateway", str(err), advice)
        return
    text = f"{url}: edge {board.version} on {board.host or 'a board without name'}"
    if board.version != __version__:
        yield warn("gateway", text, f"this is edge {__version__}; install the same on both sides")
    else:
        yield ok("gateway", text)
    for module, why in board.task_errors.items():
        yield fail("tasks", f"{module}: {why}", "correct it, or remove it from `tasks` in edge.yaml")
    if not board.task_errors:
        yield ok("tasks", f"{board.tasks} kinds of job")
    for sentence in board.unserved:
        text, _, cure = sentence.rpartition("; ")
        yield warn("workers", text or cure, cure)
