"""Connects to the broker, declares its queues and checks them. Gateway and workers use it.

Every board has a quorum queue for each power class, and a dead-letter queue. Kinds of the pool `io` have their own
queues, one for each power class. The same is true for the kinds that only one worker takes. Every process must declare
a queue with the same arguments, because RabbitMQ refuses other ones. The arguments are valid on 3.10 and 4.x, so that a
board survives the upgrade.
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
#: The exceptions of a connection to the broker, from the socket layer or from AMQP.
CONNECTION_ERRORS: tuple[type[Exception], ...] = (OSError, AMQPError)

#: Quorum queues keep confirmed messages through a power cut. By default, 4.x drops a message after 20 deliveries, but a
#: board may have more power cuts than that in one night. 3.10 refuses -1 (no limit). Both versions accept a million.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
#: Messages that reach the delivery limit go to `edge.dead`, with a confirm of that queue (at-least-once). RabbitMQ does
#: this only for queues that reject publishes when they are full, instead of dropping their oldest message.
_TO_DEAD = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_NAME,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_DEFAULT = Exchange("", type="direct")
#: Name of an exchange that marks the broker's store. A store without it is new, and has none of the published jobs.
_MARK = "edge.store"

#: With these options, a connection whose peer is gone fails within 30 s after data was sent, or about 90 s after the
#: last data if it is idle. AMQP heartbeats cannot be used, because a solo worker cannot send them while a job runs.
_SOCKET = {
    socket.TCP_NODELAY: 1,
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,
}


def queue_name(power: Power, *, pool: Pool = Pool.MAIN, owner: str = "") -> str:
    """Return the name of a queue.

    Args:
        power: the power class.
        pool: the pool of its kinds.
        owner: name of the worker, if the queue is for kinds that only one worker takes. Then `pool` is ignored.
    """
    if owner:
        return f"edge.only.{owner}.{power.value}"
    return f"edge.{power.value}" if pool is Pool.MAIN else f"edge.{pool.value}.{power.value}"


def class_of(queue: str) -> Power:
    """Return the power class of a queue.

    It is `normal` for a name without a power class, such as `edge.dead`, which holds jobs of all classes.
    """
    name = queue.rpartition(".")[2]
    return Power(name) if name in _CLASSES else Power.NORMAL


def queues_of(worker: WorkerEntry) -> tuple[str, ...]:
    """Return the names of the queues that a worker consumes when power allows. All also consume `edge.dead`."""
    owner = worker.name if worker.kinds else ""
    return tuple(queue_name(power, pool=worker.takes, owner=owner) for power in Power if power in worker.classes)


def all_queues(workers: Iterable[WorkerEntry]) -> tuple[str, ...]:
    """Return the names of all queues that jobs of a board with these workers may go to, for any kinds of job."""
    pools = [queue_name(power, pool=pool) for pool in Pool for power in Power]
    owners = [queue_name(power, owner=worker.name) for worker in workers if worker.kinds for power in Power]
    return (*pools, *owners)


def queue(name: str) -> Queue:
    """Return the queue of that name with the arguments that edge declares."""
    return _queue(name, _QUORUM if name == DEAD_NAME else _QUORUM | _TO_DEAD)


def _queue(name: str, arguments: Mapping[str, object]) -> Queue:
    return Queue(name, exchange=_DEFAULT, routing_key=name, durable=True, queue_arguments=arguments, no_declare=None)


_CLASSES = frozenset(power.value for power in Power)
#: The queues that every board has. Its configuration and its tasks may need others in addition.
QUEUES: dict[Power, Queue] = {power: queue(queue_name(power)) for power in Power}
DEAD: Queue = queue(DEAD_NAME)


def transport_options(*, confirm: bool = False, timeout_s: float | None = None) -> dict[str, object]:
    """Return the options of kombu's AMQP transport for a connection of ours.

    Args:
        confirm: each publish waits for the confirm of the broker.
        timeout_s: limit of each read and write.
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
    """Return a connection to the broker that is not established yet. Raises ConfigError.

    Args:
        config: the settings of the broker.
        confirm: each publish waits for the confirm of the broker.
        timeout_s: limit of each read and write.
        **options: further options of the transport.
    """
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
    """Connect, or raise at once. The method `connect()` of kombu would sleep for 2 s and try once more."""
    link.ensure_connection(max_retries=0, reraise_as_library_errors=False)


def declare(channel: Channel, *, more: Iterable[str] = (), passive: bool = False) -> None:
    """Declare the queues of every board and those in `more`. Existing queues are not changed.

    Args:
        channel: an open channel.
        more: names of additional queues.
        passive: only check that the queues exist. This needs no right to configure them: the user of a node may only
            read the queues.
    """
    for name in _with(more):
        queue(name)(channel).queue_declare(passive=passive)


def _with(more: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the queues of every board and those in `more`, each once.

    `edge.dead` comes first, because the others send messages to it.
    """
    return tuple(dict.fromkeys((DEAD_NAME, *(each.name for each in QUEUES.values()), *more)))


def store_is_new(link: Link) -> bool:
    """Return True if the store of the broker has no mark: it is new, or it replaced a lost one."""
    channel = link.channel()
    try:
        channel.exchange_declare(_MARK, type="fanout", passive=True)
    except NotFound:  # this error closes the channel
        return True
    channel.close()
    return False


def mark_store(link: Link) -> None:
    """Mark the store. Call it only after it is durable that all open jobs will be published again."""
    channel = link.channel()
    channel.exchange_declare(_MARK, type="fanout", durable=True, auto_delete=False)
    channel.close()


def check_queues(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float) -> None:
    """Declare every queue, and check that it answers. Call it before any consumer is started.

    A queue without a leader exists but never answers. A message count above zero proves that the queue has a leader. An
    empty queue is asked for a message; if one has arrived meanwhile, it is returned to the queue.

    Args:
        config: the settings of the broker.
        more: names of queues in addition to `QUEUES`, which every board has.
        timeout_s: limit of each read and write.

    Raises:
        QueueSilent: a queue does not answer.
        BrokerError: an error that does not mean that the store is damaged: there is no broker, it refuses the login, or
            a queue has other arguments.
    """
    name = ""
    try:
        with open_channel(config, timeout_s=timeout_s) as channel:
            for name in _with(more):
                queue(name)(channel).declare()
                if channel.queue_declare(queue=name, passive=True).message_count:
                    continue
                if (message := channel.basic_get(name, no_ack=False)) is not None:
                    channel.basic_reject(message.delivery_tag, requeue=True)
    except BrokerError as err:
        if name and is_queue_failure(err.__cause__):
            raise QueueSilent(f"queue {name} does not answer: {explain(err.__cause__ or err)}") from err
        if vhost_down(err.__cause__):
            raise QueueSilent(explain(err.__cause__ or err)) from err
        raise


def is_queue_failure(err: BaseException | None) -> bool:
    """Return True if an error of an established connection means that a queue does not work."""
    return isinstance(err, QueueSilent | TimeoutError | InternalError | NotFound)


def vhost_down(err: BaseException | None) -> bool:
    """Return True if an error while connecting means that the broker could not open its queues.

    Such a broker runs, but refuses all connections. A common cause is a power cut that damaged the log of the queues.
    Waiting does not help, because RabbitMQ listens only after it has tried to open them.
    """
    return isinstance(err, InternalError)


@contextmanager
def open_channel(config: BrokerConfig, *, timeout_s: float = 10.0) -> Iterator[Channel]:
    """Yield a channel of a new connection, which is closed at the end of the block. Raises BrokerError.

    Each read and write is limited to `timeout_s`.
    """
    address = f"{config.host}:{config.port}"
    try:
        with connection(config, timeout_s=timeout_s) as link:
            establish(link)
            yield link.default_channel
    except CONNECTION_ERRORS as err:
        raise BrokerError(f"broker at {address}: {explain(err)}") from err


def depths(config: BrokerConfig, *, more: Iterable[str] = (), timeout_s: float = 10.0) -> dict[str, int]:
    """Declare all queues of the board and those in `more`, and return the number of ready messages in each.

    Raises BrokerError.
    """
    names = _with(more)
    with open_channel(config, timeout_s=timeout_s) as channel:
        declare(channel, more=names)
        return {name: channel.queue_declare(queue=name, passive=True).message_count for name in names}


def explain(err: BaseException) -> str:
    """Return one line for an error of py-amqp or the socket, with the remedy if a person must act."""
    if isinstance(err, AMQPError):
        text = " ".join(str(getattr(err, "reply_text", "") or err).split())
        return f"{text}; {remedy}" if (remedy := cure(err)) else text
    if isinstance(err, TimeoutError):
        return "no answer in time"
    if isinstance(err, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
