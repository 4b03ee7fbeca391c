"""The decorator `@task`, which makes a kind of job of a typed function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, ParamSpec, Protocol, TypeVar, overload

from celery import Task as CeleryTask

from edge.catalog.signature import Signature
from edge.config import CommandConfig
from edge.core.errors import UsageError
from edge.core.values import JsonValue
from edge.model import Pool, Power
from edge.worker.celery.app import CONFIRM_S, app

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

_REFUSED = {
    "expires": "the board's clock may jump; cancel the job instead",
    "link": "this worker runs no callbacks and no chord",
    "link_error": "this worker runs no callbacks and no chord",
    "chord": "this worker runs no callbacks and no chord",
}


class EdgeTask(CeleryTask):  # type: ignore[misc]
    """A Celery task that checks its arguments at the call. When the call returns, its message is confirmed."""

    abstract = True
    edge_signature: ClassVar[Signature | None] = None
    edge_power: ClassVar[Power] = Power.NORMAL
    edge_pool: ClassVar[Pool] = Pool.MAIN
    edge_retries: ClassVar[int] = 0
    edge_time_limit_s: ClassVar[float | None] = None
    edge_command: ClassVar[CommandConfig | None] = None  # None for a function of a module

    # These are fixed here, because Celery would read them from the configuration. But a task file must be importable
    # without a configuration.
    serializer = "json"
    rate_limit = False
    priority = 0
    time_limit = 0
    soft_time_limit = 0
    track_started = False
    acks_late = True
    acks_on_failure_or_timeout = True
    acks_on_failure = True
    acks_on_timeout = True
    reject_on_worker_lost = False
    retry_on_worker_lost = False
    ignore_result = False
    store_eager_result = False
    store_errors_even_if_ignored = False
    typing = False
    mandatory = True

    def apply_async(
        self, args: Sequence[object] | None = None, kwargs: Mapping[str, object] | None = None, **options: object
    ) -> Submitted:
        """Publish a persistent message, and return after the broker has confirmed it.

        Raises:
            UsageError: this worker does not support an option.
            BadArguments: the task does not take these arguments.
            Exception: kombu or amqp raises it if the broker did not confirm the message.
        """
        for name, why in _REFUSED.items():
            if options.get(name) is not None:
                raise UsageError(f"{name} = {options[name]!r}: {why}")
        if self.edge_signature is not None:
            self.edge_signature.bind(args or (), kwargs or {})
        options.setdefault("confirm_timeout", CONFIRM_S)
        if options.get("connection") is not None:
            job: Submitted = super().apply_async(list(args or ()), dict(kwargs or {}), **options)
            return job
        with self._get_app().producer_or_acquire(options.pop("producer", None)) as producer:
            try:
                job = super().apply_async(list(args or ()), dict(kwargs or {}), producer=producer, **options)
            except Exception:
                # The confirm of the failed publish may still arrive, and would then count as the confirm of the next.
                producer.connection.collect()
                raise
            return job

    @classmethod
    def annotate(cls) -> None:
        """Do nothing: Celery would read `task_annotations`, and thus the configuration, during the import."""


class Submitted(Protocol):
    """A published job: the part of Celery's AsyncResult that this app supports."""

    id: str
    state: str

    def get(self, timeout: float | None = None) -> JsonValue:
        """Return the value of the task. Waits at most `timeout` seconds. Raises JobFailed, Celery's TimeoutError."""

    def ready(self) -> bool:
        """Return True if there is a result, which may be a value or a failure."""

    def successful(self) -> bool:
        """Return True if the job has succeeded."""

    def failed(self) -> bool:
        """Return True if the job has failed."""


class TaskObject(Protocol, Generic[P, R_co]):
    """The type of a decorated task: the plain function with Celery's methods to publish a job."""

    name: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the plain function in this process."""

    def delay(self, *args: object, **kwargs: object) -> Submitted:
        """Publish a job with the arguments of the function, except its `Job`. Raises the errors of `apply_async`."""

    def apply_async(
        self, args: Sequence[object] | None = None, kwargs: Mapping[str, object] | None = None, **options: object
    ) -> Submitted:
        """Publish a job with Celery's options. Raises UsageError, BadArguments, and any error of kombu."""


@overload
def task(function: Callable[P, R_co], /) -> TaskObject[P, R_co]: ...


@overload
def task(
    *,
    name: str | None = None,
    power: Power | str = Power.NORMAL,
    pool: Pool | str = Pool.MAIN,
    retries: int = 0,
    time_limit_s: float | None = None,
) -> Callable[[Callable[P, R_co]], TaskObject[P, R_co]]: ...


def task(
    function: Callable[P, R_co] | None = None,
    /,
    *,
    name: str | None = None,
    power: Power | str = Power.NORMAL,
    pool: Pool | str = Pool.MAIN,
    retries: int = 0,
    time_limit_s: float | None = None,
) -> TaskObject[P, R_co] | Callable[[Callable[P, R_co]], TaskObject[P, R_co]]:
    """Make a task of a function whose parameters all have type hints. The worker supplies a parameter annotated `Job`.

    A submitter may choose other values for `power`, `retries` and `time_limit_s`.

    Args:
        function: the body of the task.
        name: the name of the kind of job; by default the name of the function.
        power: how good power must be before such a job starts: `always`, `normal` or `surplus`.
        pool: `main`, or `io` for a body that waits for networks and disks. A body of `io` runs in a thread while others
            run, if there is a worker of threads.
        retries: how often a failed body runs again, 0 to 100.
        time_limit_s: the longest time that a body may run, in seconds. None sets no limit for this kind.

    Raises:
        TypeError: a type hint is missing or not usable, the name is taken, or an option is out of range. The message
            names the file and the parameter.
    """

    def decorate(function: Callable[P, R_co]) -> TaskObject[P, R_co]:
        own_name = name or function.__name__
        signature = Signature.of(function, task=own_name)
        where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: {function.__name__}()"
        if power not in tuple(Power):
            raise TypeError(f"{where}: power = {power!r}: allowed are {', '.join(Power)}")
        if pool not in tuple(Pool):
            raise TypeError(f"{where}: pool = {pool!r}: allowed are {', '.join(Pool)}")
        if not isinstance(retries, int) or not 0 <= retries <= 100:
            raise TypeError(f"{where}: retries = {retries!r}: allowed are 0 to 100")
        if time_limit_s is not None and not 0 < time_limit_s <= 31_536_000:
            raise TypeError(f"{where}: time_limit_s = {time_limit_s!r}: allowed are more than 0, up to a year")
        taken = app._tasks.get(own_name)  # noqa: SLF001 - `tasks` would load the configuration
        if taken is not None and taken.__module__ != function.__module__:
            raise TypeError(f"{where}: a task named {own_name!r} is in {taken.__module__} already")
        if taken is not None:
            app._tasks.pop(own_name)  # noqa: SLF001 - the same module, imported again
        made: TaskObject[P, R_co] = app._task_from_fun(  # noqa: SLF001 - `app.task` would make a proxy, or read the configuration
            function,
            name=own_name,
            edge_signature=signature,
            edge_power=Power(power),
            edge_pool=Pool(pool),
            edge_retries=retries,
            edge_time_limit_s=time_limit_s,
        )
        return made

    return decorate if function is None else decorate(function)
