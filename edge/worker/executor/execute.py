"""Runs one body and returns how it ended. It uses neither the broker nor the folder of results."""

from __future__ import annotations

import math
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

from edge.core.duplicates import duplicate
from edge.model import Failure, FailureCode
from edge.worker.attempt.delivery import clean
from edge.worker.attempt.outcome import Outcome
from edge.worker.command.failure import ProgramFailed
from edge.worker.process.control import JobCancelled, JobControl, JobInterrupted, JobTimedOut, exit_fork

__all__ = ["MAX_DEPTH", "Outcome", "execute", "failure_of"]

_TRACEBACK_CHARS = 20_000
_MESSAGE_CHARS = 4_000
#: Deepest nesting of a value. Readers of the result would run out of stack at about a thousand levels.
MAX_DEPTH = 500
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Runner(Protocol):
    """Calls a body and interrupts it. `Control` does so in the main thread, a `Body` in any other thread."""

    def run(self, job_id: str, body: Callable[[], object], *, limit_s: float | None, lasting_s: float | None) -> object:
        """Call `body` and return its value. Raises JobControl if it is cancelled, timed out or stopped."""


def cpu_of_process_s() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def execute(
    control: Runner,
    job_id: str,
    body: Callable[[], object],
    *,
    limit_s: float | None,
    max_bytes: int,
    lasting_s: float | None = None,
    cpu_s: Callable[[], float] = cpu_of_process_s,
) -> Outcome:
    """Run `body` in this thread and return how it ended. Never raises.

    Args:
        control: interrupts the body.
        job_id: the job of the body.
        body: called once.
        limit_s: time limit of the body.
        max_bytes: largest size of its value as JSON.
        lasting_s: see `Control.run`.
        cpu_s: returns the CPU time used so far, in seconds.
    """
    pid = os.getpid()
    started_at, began, cpu = time.time(), time.perf_counter(), cpu_s()
    value: object = None
    encoded: msgspec.Raw | None = None
    failure: Failure | None = None
    error: BaseException | None = None
    try:
        value = control.run(job_id, body, limit_s=limit_s, lasting_s=lasting_s)
    except JobInterrupted as err:
        error = err
    except BaseException as err:
        error = err
        failure = failure_of(err)
    if os.getpid() != pid:
        exit_fork()
    if error is None:
        encoded, failure = _encoded(value, max_bytes)
    return Outcome(
        value=value,
        encoded=encoded,
        failure=failure,
        error=error,
        interrupted=isinstance(error, JobInterrupted),
        started_at=started_at,
        seconds=time.perf_counter() - began,
        cpu_seconds=cpu_s() - cpu,
    )


def _encoded(value: object, max_bytes: int) -> tuple[msgspec.Raw | None, Failure | None]:
    try:
        data = msgspec.json.encode(value)
    except Exception as err:
        what = clean(f"a {type(value).__name__} cannot be a result: {err}")[:_MESSAGE_CHARS]
        return None, Failure(FailureCode.NOT_SERIALISABLE, what, type(err).__name__)
    if len(data) > max_bytes:
        what = f"the result has {len(data)} bytes as JSON, more than worker.max_result_bytes = {max_bytes}"
        return None, Failure(FailureCode.TOO_LARGE, f"{what}; write it to job.file(NAME)")
    if _deep(data):
        what = f"a {type(value).__name__} cannot be a result: it is nested deeper than {MAX_DEPTH} levels"
        return None, Failure(FailureCode.NOT_SERIALISABLE, what, type(value).__name__)
    if b"null" in data and (odd := _not_finite(value)) is not None:
        what = f"the result holds {odd}, which JSON has no number for; return None or text in its place"
        return None, Failure(FailureCode.NOT_SERIALISABLE, what, "float")
    if (name := duplicate(data)) is not None:
        what = clean(f"the result has a dict in which two keys become {name[:80]!r} in JSON, as 1 and '1' do")
        return None, Failure(FailureCode.NOT_SERIALISABLE, what, "dict")
    return msgspec.Raw(data), None


def _not_finite(value: object) -> float | None:
    """Return a NaN or infinity that `value` contains, or None if there is none. JSON would have null in its place."""
    left = [msgspec.to_builtins(value, builtin_types=(msgspec.Raw,))]  # ready-made JSON is taken as it is
    while left:
        each = left.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return each
        if isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, list | tuple):
            left.extend(each)
    return None


def _deep(data: bytes) -> bool:
    """Return True if the JSON in `data` is nested too deeply.

    This is not recursive, because the body may have raised Python's recursion limit.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    left = _STRING.sub(b"", data).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        left = left.replace(b"[]", b"")  # remove the innermost level
        if not left:
            return False
    return True


def failure_of(err: BaseException) -> Failure:
    """Return the failure for an exception that a body raised."""
    if isinstance(err, ProgramFailed):
        failure = err.failure
        return Failure(failure.code, clean(failure.message)[:_MESSAGE_CHARS], traceback=clean(failure.traceback))
    if isinstance(err, JobCancelled):
        return Failure(FailureCode.CANCELLED, str(err))
    if isinstance(err, JobTimedOut):
        return Failure(FailureCode.TIME_LIMIT, str(err), traceback=_traceback(err))
    if isinstance(err, SystemExit):
        message = f"the job ended its process with exit code {_text(err.code)}"
        return Failure(FailureCode.EXIT, message, "SystemExit", _traceback(err))
    # The text of many exceptions is empty: MemoryError, StopIteration, `assert`.
    return Failure(FailureCode.EXCEPTION, _text(err) or _type_name(err), _type_name(err), _traceback(err))


def _type_name(err: BaseException) -> str:
    kind = type(err)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(value: object) -> str:
    """Return the text of an object of the body. Its `str()` may raise or be very long."""
    try:
        text = str(value)
    except BaseException:  # not only `Exception`: `__str__` is code of the body
        text = f"<{type(value).__name__} without text>"
    return clean(text)[:_MESSAGE_CHARS]


def _traceback(err: BaseException) -> str:
    """Return the traceback from the body's first frame on. Only the end of a long one is kept."""
    try:
        lines = traceback.format_exception(type(err), err, _own_frames_off(err.__traceback__))
    except BaseException:  # an exception whose text raises
        lines = traceback.format_tb(err.__traceback__)
    text = clean("".join(lines))
    return text if len(text) <= _TRACEBACK_CHARS else f"...\n{text[-_TRACEBACK_CHARS:]}"


def _own_frames_off(tb: TracebackType | None) -> TracebackType | None:
    # `body.py` is named by its path, because the module is imported only in a worker of threads.
    here = (__file__, sys.modules[JobControl.__module__].__file__, str(Path(__file__).with_name("body.py")))
    while tb is not None and tb.tb_frame.f_code.co_filename in here:
        tb = tb.tb_next
    return tb
