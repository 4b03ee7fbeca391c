"""`@task`: one typed function in one file becomes a kind of job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, ParamSpec, Protocol, TypeVar, overload

from celery import Task as CeleryTask

from edge.catalog.signature import Signature
from edge.core.errors import UsageError
from edge.core.values import JsonValue
from edge.model import Pool, Power
from edge.worker.celery.app import CONFIRM_S, app

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

_REFUSED = {
    "countdown": "nothing waits in the broker; submit it when it is due",
    "eta": "nothing waits in the broker; submit it when it is due",
    "expires": "the board's clock may jump; cancel the job in its place",
    "link": "this worker runs no canvas",
    "link_error": "this worker runs no canvas",
    "chain": "this worker runs no canvas",
    "chord": "this worker runs no canvas",
}


class EdgeTask(CeleryTask):  # type: ignore[misc]
    """A Celery task whose arguments are checked where it is called, and whose message is safe once that returns."""

    abstract = True
    edge_signature: ClassVar[Signature | None] = None
    edge_power: ClassVar[Power] = Power.NORMAL
    edge_pool: ClassVar[Pool] = Pool.MAIN
    edge_retries: ClassVar[int] = 0
    edge_time_limit_s: ClassVar[float | None] = None

    # Said here rather than read from the configuration, so that a task file can be imported without one.
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
        """Publish a job, persistent and confirmed; raises BadArguments, or what kombu raises, if it is not safe."""
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
                # The answer to a publish that failed may still come, and would confirm the next one on its channel.
                producer.connection.collect()
                raise
            return job

    @classmethod
    def annotate(cls) -> None:
        """Nothing: Celery would read `task_annotations` from a configuration that nobody has asked for yet."""


class Submitted(Protocol):
    """A job that was published: Celery's AsyncResult, as far as this app serves it."""

    id: str
    state: str

    def get(self, timeout: float | None = None) -> JsonValue:
        """What the task returned; raises JobFailed, or Celery's TimeoutError."""

    def ready(self) -> bool:
        """True once there is a result, a failure too."""

    def successful(self) -> bool:
        """True once it returned a value."""

    def failed(self) -> bool:
        """True once it ended without a value."""


class TaskObject(Protocol, Generic[P, R_co]):
    """What `@task` makes, as far as types go: the plain function, with Celery's ways to publish it."""

    name: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the plain function here and now."""

    def delay(self, *args: object, **kwargs: object) -> Submitted:
        """Publish a job; the arguments are those of the function without its `Job`."""

    def apply_async(
        self, args: Sequence[object] | None = None, kwargs: Mapping[str, object] | None = None, **options: object
    ) -> Submitted:
        """As `delay`, with Celery's options."""


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
    """Make a task of a function whose parameters all have type hints; one annotated `Job` is filled in by the worker.

    `power` is how good power must be before such a job starts (`always`, `normal`, `surplus`), `retries` how often a
    failing body is run again, `time_limit_s` how long it may take; a submitter may ask otherwise. `pool="io"` is for a
    body that waits for networks and disks: it runs in a thread beside others, where a worker with `pool: threads` is
    configured. Raises TypeError, naming file and parameter, on a hint that cannot be used, on a name that is taken, on
    options out of range.
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
            app._tasks.pop(own_name)  # noqa: SLF001 - the same module, imported anew
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
