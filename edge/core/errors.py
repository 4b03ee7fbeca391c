"""Defines every error that the appliance raises on purpose, each with one line that tells a person what to do.

An error carries its data as attributes and does not log itself. The CLI prints its line and ends with its `exit_code`.
The gateway turns it into an RFC 9457 problem, by one table (`edge/gateway/http/problems.py`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

_LONGEST_SHOWN = 200  # characters of a bad value


class EdgeError(Exception):
    """The base class of all errors: one sentence for a person, and the exit code of a command that ends with it."""

    exit_code = 1

    @classmethod
    def reported(cls, sentence: str, **data: object) -> Self:
        """Return an error that another process reported, with its `sentence`, and with `data` as attributes."""
        err = cls.__new__(cls, sentence)
        for name, value in data.items():
            setattr(err, name, value)
        return err


class BrokenInvariant(EdgeError, RuntimeError):
    """A condition that the program guarantees does not hold. This is a bug, not a mistake of a person."""


class ConfigError(EdgeError, ValueError):
    """A configuration value is not usable: names the key, the value and what is allowed."""

    exit_code = 2

    def __init__(self, key: str, value: object, allowed: str, *, origin: str = "") -> None:
        self.key, self.value, self.allowed, self.origin = key, value, allowed, origin
        where = f"{origin}: " if origin else ""
        shown = repr(value) if len(repr(value)) <= _LONGEST_SHOWN else f"{value!r:.{_LONGEST_SHOWN}}..."
        # A key of a file may contain any character, even a line break or one that moves the cursor.
        named = key if key.isprintable() else repr(key)[1:-1]
        super().__init__(f"{where}{named} = {shown}: {allowed}")


class UsageError(EdgeError, ValueError):
    """A request of a person cannot be done in this form."""

    exit_code = 2


class BadJobId(EdgeError, ValueError):
    """A job id that cannot be the name of a file."""

    exit_code = 2

    def __init__(self, job_id: object) -> None:
        self.job_id = job_id
        super().__init__(f"job id {str(job_id)[:80]!r}: 1 to 128 of A-Z a-z 0-9 . _ - starting with a letter or digit")


class BadArguments(EdgeError, ValueError):
    """Arguments that do not match the signature of their task."""

    exit_code = 2

    def __init__(self, task: str, reason: str) -> None:
        self.task, self.reason = task, reason
        super().__init__(f"task {task!r}: {reason}")


class UnknownTask(EdgeError, LookupError):
    """A task name that no configured module registers."""

    exit_code = 2

    def __init__(self, task: str, known: list[str]) -> None:
        self.task, self.known = task, known
        super().__init__(f"unknown task {task!r}: known are {', '.join(known) or 'none'}")


class UnknownJob(EdgeError, LookupError):
    """No job with this id is in the ledger."""

    exit_code = 4

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"no job {job_id!r}")


class JobGone(EdgeError, LookupError):
    """The job has ended and its result was removed."""

    exit_code = 4

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id!r} ended and its result has been removed")


class UnknownSchedule(EdgeError, LookupError):
    """No schedule has this name."""

    exit_code = 4

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no schedule {name[:80]!r}")


class BadSchedule(EdgeError, ValueError):
    """A schedule whose name, times or zone cannot be read."""

    exit_code = 2


class KeyReused(EdgeError, ValueError):
    """An idempotency key was sent before with another body."""

    exit_code = 2

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(f"Idempotency-Key {key[:80]!r} was used before for another body (job {job_id})")


class SpawnedOtherwise(KeyReused):
    """A body spawns a different job with a key, or in a call, that this or an earlier attempt used for another job."""

    def __init__(self, key: str, call: int, job_id: str) -> None:
        super().__init__(key, job_id)
        where = f"key {key[:80]!r}" if key else f"call {call} without a key"
        why = "" if key else "; if attempts may spawn different jobs, give each job a key"
        self.args = (f"spawn, {where}: it was used before for another task or other arguments (job {job_id}){why}",)


class TooManyJobs(EdgeError, RuntimeError):
    """As many jobs wait as the configuration allows."""

    def __init__(self, open_jobs: int, limit: int) -> None:
        self.open_jobs, self.limit = open_jobs, limit
        super().__init__(f"{open_jobs} jobs are open already; gateway.max_open_jobs allows {limit}")


class TornResult(EdgeError, ValueError):
    """A result file whose payload does not match its checksum."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"result file {path}: {reason}")


class StorageError(EdgeError, OSError):
    """The state folder cannot take a durable write: full, read-only or failing."""

    def __init__(self, what: str, err: BaseException) -> None:
        self.what, self.reason = what, err
        super().__init__(f"{what}: {err}")


class BrokerError(EdgeError, ConnectionError):
    """The broker cannot be reached, refuses the connection, or does not answer in time."""

    exit_code = 3


class QueueSilent(BrokerError):
    """A queue does not accept jobs: it does not answer, has no leader, is over its limit, or is gone.

    Waiting does not help. If a queue exists and does not answer, the broker's store is damaged.
    """


class StackError(EdgeError, RuntimeError):
    """A part of `edge up` cannot start: a port in use, a missing program, a broker that stays down."""

    exit_code = 3


class Unreachable(EdgeError, ConnectionError):
    """The gateway does not answer, or cannot serve the request now. The client may send the same request again."""

    exit_code = 3


class Asleep(Unreachable):
    """The board is about to go down to sleep. `awake_at` says when it is awake again, or is None if that is unknown."""

    def __init__(self, *, awake_at: float | None = None, retry_after_s: int = 3) -> None:
        self.awake_at, self.retry_after_s = awake_at, retry_after_s
        at = f" and is awake again at {time.strftime('%H:%M', time.localtime(awake_at))}" if awake_at else ""
        super().__init__(f"the board was about to sleep{at}; it stays awake for this job if it still can: try again")


class NotAllowed(EdgeError, PermissionError):
    """A token is missing or unknown, or does not have the scope for the request."""

    exit_code = 5


class NotReady(EdgeError, TimeoutError):
    """A job has no result yet, and the time to wait for it is over."""

    exit_code = 6

    def __init__(self, job_id: str, why: str) -> None:
        self.job_id, self.why = job_id, why
        super().__init__(f"job {job_id!r} has no result yet: {why}")


class JobFailed(EdgeError, RuntimeError):
    """A job ended without a value."""

    def __init__(self, job_id: str, state: str, reason: str) -> None:
        self.job_id, self.state, self.reason = job_id, state, reason
        super().__init__(f"job {job_id!r} {state}: {reason}")


class WrongState(EdgeError, ValueError):
    """The state of the job does not allow the request: only open jobs can be cancelled, only ended ones removed."""


class NotInTime(EdgeError, ValueError):
    """A job is refused because it would probably end after its deadline, and the submitter has forbidden that."""

    exit_code = 6

    def __init__(self, message: str, likely: float | None = None) -> None:
        self.likely = likely  # probable start, by the board's clock
        super().__init__(message)


class UnknownFile(EdgeError, LookupError):
    """The job left no file of this name."""

    exit_code = 4

    def __init__(self, job_id: str, name: str, known: list[str]) -> None:
        self.job_id, self.name, self.known = job_id, name, known
        super().__init__(f"job {job_id!r} has no file {name[:80]!r}: it left {', '.join(known) or 'none'}")


class UnknownInput(EdgeError, LookupError):
    """A job names a file that was not uploaded, or was removed again because no open job used it."""

    exit_code = 2

    def __init__(self, name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        super().__init__(f"files.{name}: no file with SHA-256 {sha256} is here; upload it first (PUT /v1/files)")


class GatewayError(EdgeError, RuntimeError):
    """The gateway answered with an error for which there is no class here. Carries its status, code and sentence."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code, self.detail = status, code, detail
        super().__init__(detail or f"the gateway answered {status}")


class CatalogueError(EdgeError, RuntimeError):
    """The task modules could not be read at all, so the kinds of job are unknown."""


def not_none(value: T | None, what: str) -> T:
    """Return `value`, which cannot be None at this point. Raises BrokenInvariant, naming `what`, if it is."""
    if value is None:
        raise BrokenInvariant(f"{what} is missing")
    return value


def expect_type(value: object, kind: type[T], what: str) -> T:
    """Return `value`, narrowed to the type `kind`. Raises BrokenInvariant, naming `what`, if it has another type."""
    if not isinstance(value, kind):
        raise BrokenInvariant(f"{what} is a {type(value).__name__}, not a {kind.__name__}")
    return value
