"""The broker as gateway and workers see it: how to connect, and which queues there are.

Every board has one quorum queue for each power class, for kinds of the pool `main`, and one dead-letter queue. Kinds of
the pool `io`, and kinds that only one worker takes, have queues of their own, one for each power class, if the board
uses them. Every process declares the queues with the same arguments, or RabbitMQ refuses. The arguments are valid on
3.10 and 4.x, so that a board survives the upgrade.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from amqp.exceptions import AMQPError, InternalError, NotFound
from kombu import Connection, Exchange, Queue

from edge.broker.border import Channel, Link
from edge.broker.refusal import cure
from edge.config import BrokerConfig, WorkerEntry
from edge.core.errors import BrokerError, QueueSilent
from edge.model import Pool, Power

DEAD_NAME = "edge.dead"
#: What a connection to the broker raises, from the socket layer or from AMQP.
CONNECTION_ERRORS: tuple[type[Exception], ...] = (OSError, AMQPError)

#: Quorum queues keep what they confirmed through a power cut. 4.x drops a message after 20 deliveries unless told
#: otherwise (a board may see more power cuts than that in one night); -1 is refused by 3.10, a million by neither.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
#: Messages that the broker gives up on go to `edge.dead`, confirmed on the way (at-least-once). RabbitMQ does that only
#: for queues that reject publishes instead of dropping their oldest message.
_TO_DEAD = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_NAME,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_DEFAULT = Exchange("", type="direct")
#: An exchange that marks the broker's store. A store without it is new, and has none of the published jobs.
_MARK = "edge.store"

#: A connection without a peer fails within half a minute by these options. AMQP heartbeats cannot be used: a solo
#: worker cannot send them while a job runs.
_SOCKET = {
    socket.TCP_NODELAY: 1,
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,
}


def queue_name(power: Power, *, pool: Pool = Pool.MAIN, owner: str = "") -> str:
    """Name of the queue of a power class, for kinds of `pool`, or for those that the worker `owner` alone takes."""
    if owner:
        return f"edge.only.{owner}.{power.value}"
    return f"edge.{power.value}" if pool is Pool.MAIN else f"edge.{pool.value}.{power.value}"


def class_of(queue: str) -> Power:
    """Return the power class of a queue; `normal` for `edge.dead`, which holds jobs of all classes."""
    word = queue.rpartition(".")[2]
    return Power(word) if word in _CLASSES else Power.NORMAL


def queues_of(worker: WorkerEntry) -> tuple[str, ...]:
    """Return the names of the queues that a worker consumes as power allows. Each also consumes `edge.dead`."""
    owner = worker.name if worker.kinds else ""
    return tuple(queue_name(power, pool=worker.takes, owner=owner) for power in Power if power in worker.classes)


def all_queues(workers: Iterable[WorkerEntry]) -> tuple[str, ...]:
    """Names of all queues that jobs of a board with these workers may go to, whichever kinds it has."""
    pools = [queue_name(power, pool=pool) for pool in Pool for power in Power]
    owners = [queue_name(power, owner=worker.name) for worker in workers if worker.kinds for power in Power]
    return (*pools, *owners)


def queue(name: str) -> Queue:
    """Return the queue of that name with our arguments."""
    return _queue(name, _QUORUM if name == DEAD_NAME else _QUORUM | _TO_DEAD)


def _queue(name: str, arguments: Mapping[str, object]) -> Queue:
    return Queue(name, exchange=_DEFAULT, routing_key=name, durable=True, queue_arguments=arguments, no_declare=None)


_CLASSES = frozenset(power.value for power in Power)
#: The queues of every board, beside those that its configuration and its tasks want.
QUEUES: dict[Power, Queue] = {power: queue(queue_name(power)) for power in Power}
DEAD: Queue = queue(DEAD_NAME)


def transport_options(*, confirm: bool = False, timeout_s: float | None = None) -> dict[str, object]:
    """Options of kombu's AMQP transport that every connection of ours uses.

    `confirm` makes each publish wait for the broker's confirm; `timeout_s` bounds each read and write.
    """
    options: dict[str, object] = {"socket_settings": dict(_SOCKET), "client_properties": {"product": "edge"}}
    if confirm:
        options["confirm_publish"] = True
    if timeout_s is not None:
        options |= {"read_timeout": timeout_s, "write_timeout": timeout_s}
    return options


def connection(
    config: BrokerConfig, *, confirm: bool = False, timeout_s: float | None = None, **options: object
) -> Connection:
    """A connection to the broker, not yet established; `options` go to the transport. Raises ConfigError."""
    return Connection(
        hostname=config.host,
        port=config.port,
        userid=config.user,
        password=config.password(),
        virtual_host=config.vhost,
        transport="pyamqp",
        heartbeat=0,
        connect_timeout=5,
        ssl=_tls(config),
        transport_options=transport_options(confirm=confirm, timeout_s=timeout_s) | options,
    )


def _tls(config: BrokerConfig) -> dict[str, object] | bool:
    if config.tls_ca is None:
        return False
    return {"ca_certs": str(config.tls_ca), "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": config.host}


def establish(link: Connection) -> None:
    """Connect, or raise at once: kombu's `connect()` would sleep 2 s and try once more by itself."""
    link.ensure_connection(max_retries=0, reraise_as_library_errors=False)


def declare(channel: Channel, *, more: Iterable[str] = (), passive: bool = False) -> None:
    """Declare the queues of every board and those named in `more`; existing ones are not changed.

    `passive` only looks, which takes no rights: a node's user may read the queues and nothing else.
    """
    for name in _with(more):
        queue(name)(channel).queue_declare(passive=passive)


def _with(more: Iterable[str]) -> tuple[str, ...]:
    """Names of the queues of every board, and `more`, each once: `edge.dead` first, where the others send."""
    return tuple(dict.fromkeys((DEAD_NAME, *(each.name for each in QUEUES.values()), *more)))


def newborn(link: Link) -> bool:
    """True when the store behind this py-amqp connection is unmarked: it is new, or replaced a lost one."""
    channel = link.channel()
    try:
        channel.exchange_declare(_MARK, type="fanout", passive=True)
    except NotFound:  # which closes the channel
        return True
    channel.close()
    return False


def mark(link: Link) -> None:
    """Mark the store. Call it when all open jobs are certain to be published again."""
    channel = link.channel()
    channel.exchange_declare(_MARK, type="fanout", durable=True, auto_delete=False)
    channel.close()


def check_queues(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float) -> None:
    """Raise QueueSilent unless every queue answers, those named `more` too.

    A queue without a leader exists and never answers. A message count above zero proves a leader. From an empty queue a
    message is requested; if one has come meanwhile, it goes back. Call it before anything consumes. Raises BrokerError
    for errors that say nothing about the store: no broker, a refused login, queues with other arguments.
    """
    asked = ""
    try:
        with reached(config, timeout_s=timeout_s) as channel:
            for asked in _with(more):
                queue(asked)(channel).declare()
                if channel.queue_declare(queue=asked, passive=True).message_count:
                    continue
                if (message := channel.basic_get(asked, no_ack=False)) is not None:
                    channel.basic_reject(message.delivery_tag, requeue=True)
    except BrokerError as err:
        if asked and silent(err.__cause__):
            raise QueueSilent(f"queue {asked} does not answer: {explain(err.__cause__ or err)}") from err
        if vhost_down(err.__cause__):
            raise QueueSilent(explain(err.__cause__ or err)) from err
        raise


def silent(err: BaseException | None) -> bool:
    """True when an error of an established connection means that a queue is dead."""
    return isinstance(err, QueueSilent | TimeoutError | InternalError | NotFound)


def vhost_down(err: BaseException | None) -> bool:
    """True when a running broker refuses all connections, because it could not open its queues.

    `err` is the error of the connect. A power cut that damaged their log is a usual cause. Waiting does not help:
    RabbitMQ listens only after it has tried to open them.
    """
    return isinstance(err, InternalError)


@contextmanager
def reached(config: BrokerConfig, *, timeout_s: float = 10.0) -> Iterator[Channel]:
    """A channel for a short question, each step bounded by `timeout_s`. Raises BrokerError."""
    address = f"{config.host}:{config.port}"
    try:
        with connection(config, timeout_s=timeout_s) as link:
            establish(link)
            yield link.default_channel
    except CONNECTION_ERRORS as err:
        raise BrokerError(f"broker at {address}: {explain(err)}") from err


def depths(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float = 10.0) -> dict[str, int]:
    """Return the number of ready messages in each queue, those named in `more` too. Raises BrokerError."""
    names = _with(more)
    with reached(config, timeout_s=timeout_s) as channel:
        declare(channel, more=names)
        return {name: channel.queue_declare(queue=name, passive=True).message_count for name in names}


def explain(err: BaseException) -> str:
    """Return one line for an error of py-amqp or the socket, with what a person has to do if anything."""
    if isinstance(err, AMQPError):
        text = " ".join(str(getattr(err, "reply_text", "") or err).split())
        return f"{text}; {remedy}" if (remedy := cure(err)) else text
    if isinstance(err, TimeoutError):
        return "no answer in time"
    if isinstance(err, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
