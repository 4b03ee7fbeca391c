"""Submits the jobs that a body spawns. They are checked at the call, and become durable in groups.

Each job is submitted only once, even if the body runs again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Protocol

import msgspec

from edge.catalog.signature import Signature
from edge.core.duplicates import duplicate
from edge.core.errors import BadArguments, SpawnedOtherwise, UnknownTask, UsageError
from edge.core.values import JsonObject, JsonValue
from edge.model import MOST_CHILDREN, SpawnedJob, SpawnedJobs, Waits, spawned_job_id
from edge.schedule.arguments import results_in
from edge.schedule.later import later
from edge.wire import KEY_RULE, is_key
from edge.worker.api.handed import Handed
from edge.worker.api.kind import TaskKind

logger = logging.getLogger(__name__)

#: Largest number of jobs in one file. A file costs two syncs.
GROUP = 256
#: Size of the arguments at which a file is written.
GROUP_BYTES = 1 << 20
#: Longest time that the first job of a group waits for others.
WAIT_S = 0.05
#: Largest number of bytes of jobs that wait in memory while the disk or the head refuses them. Above that
#: `spawn` raises.
_WAITING_BYTES = 32 << 20
#: Deepest nesting of arguments, the same as for submitted jobs.
_MAX_DEPTH = 100


class HandOver(Protocol):
    """The receiver of spawned jobs: a folder of this board, or the head.

    Methods raise OSError, and may be called from any thread.
    """

    def known(self, parent: str) -> Sequence[SpawnedJobs]:
        """Return the jobs that earlier attempts at `parent` spawned, in order, as far as this board knows them."""

    def write(self, spawned: SpawnedJobs, *, number: int) -> None:
        """Make `spawned` durable. `number` orders the files of one parent.

        Raises:
            SpawnedOtherwise: one of the ids belongs to a job with another task or other arguments.
        """


class Spawning(Protocol):
    """The object that `Job.spawn` calls: a `Spawner` or a `LocalSpawner`."""

    def spawn(self, task: object, args: Sequence[object], kwargs: Mapping[str, object], *, key: str | None) -> str:
        """Submit a job and return its id. Raises the errors of `Job.spawn`."""


class Spawner:
    """Spawns the jobs of one attempt at one job. May be called from any thread of the body.

    An error of the disk or the head does not end the body. The jobs wait here, and the result of the parent waits for
    them, see `flush`.
    """

    def __init__(
        self,
        parent: str,
        *,
        submitter: str,
        kinds: Callable[[], Mapping[str, TaskKind]],
        hand_over: HandOver,
        max_bytes: int,
        handed: Handed | None = None,
    ) -> None:
        """Prepare for one attempt.

        Args:
            parent: the id of the job that spawns.
            submitter: its submitter.
            kinds: returns the known kinds of job.
            hand_over: receives the jobs.
            max_bytes: the largest size of one job's arguments as JSON.
            handed: reads the input files that the body hands on.
        """
        self._handed = Handed() if handed is None else handed
        self._parent, self._submitter = parent, submitter
        self._read_kinds = kinds
        self._kinds: Mapping[str, TaskKind] = {}
        self._hand_over = hand_over
        self._max_bytes = max_bytes
        self._pid = os.getpid()
        self._lock = threading.RLock()  # guards all fields below; held while a file is written
        self._known: dict[str, bytes] | None = None  # fingerprint of each spawned job by id; None until it is read
        self._calls = 0  # calls without a key so far
        self._files = 0
        self._group: list[tuple[SpawnedJob, int]] = []  # jobs that wait to be written, and their sizes in bytes
        self._group_bytes = 0
        self._timer: threading.Timer | None = None
        self._conflict: SpawnedOtherwise | None = None  # the head refused a job of an earlier group
        self._ended = False

    @property
    def children(self) -> tuple[str, ...]:
        """Ids of all jobs that this job has spawned, in order."""
        with self._lock:
            return tuple(self._known or ())

    def spawn(self, task: object, args: Sequence[object], kwargs: Mapping[str, object], *, key: str | None) -> str:
        """Submit a job and return its id. It is durable after the next `flush`. Raises the errors of `Job.spawn`."""
        if key is not None:
            if not (isinstance(key, str) and is_key(key)):
                raise UsageError(f"key {str(key)[:80]!r}: {KEY_RULE}")
            key = str.__str__(key)  # an object of a subclass of str could not be encoded
        if os.getpid() != self._pid:
            raise UsageError("spawn: a process that the body forked cannot spawn jobs; call it in the body's process")
        with self._lock:
            if self._ended:
                raise UsageError("spawn: the job has ended")
            self._raise_conflict()
            kind = self._kind(task)
            job, size = self._checked(kind, args, kwargs, key)
            job_id = job.id(self._parent)
            known = self._recalled()
            if (before := known.get(job_id)) is not None and before != job.fingerprint:
                raise SpawnedOtherwise(job.key, job.call, job_id)
            if before is None and len(known) >= MOST_CHILDREN:
                raise UsageError(f"a job may spawn {MOST_CHILDREN} jobs and no more")
            self._calls += not job.key
            if before is None:
                known[job_id] = job.fingerprint
                self._add(job, size)
            return job_id

    def saved(self) -> bool:
        """Write the waiting jobs. Return False if the disk or the head refused them."""
        try:
            self.flush()
        except OSError as err:
            logger.warning("cannot hand in the jobs that job %s spawned: %s; trying again", self._parent, err)
            return False
        return True

    def flush(self) -> None:
        """Write the waiting jobs. On return they are durable. Raises OSError; then the unwritten jobs still wait."""
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            while self._group:
                count, size = 0, 0
                while count < min(len(self._group), GROUP) and size < GROUP_BYTES:
                    size += self._group[count][1]
                    count += 1
                jobs = tuple(job for job, _ in self._group[:count])
                try:
                    self._hand_over.write(SpawnedJobs(self._parent, jobs, self._submitter), number=self._files)
                except SpawnedOtherwise as err:
                    self._conflict = err
                del self._group[:count]
                self._group_bytes -= size
                self._files += 1

    def settle(self) -> None:
        """Note that the body has ended, and write the waiting jobs if possible. SpawnedOtherwise makes the job fail."""
        with self._lock:
            self._ended = True
            self.saved()
            self._raise_conflict()

    # --- inside, under the lock ---------------------------------------------------------------------------

    def _kind(self, task: object) -> TaskKind:
        name = task_name(task)
        if name not in self._kinds:
            self._kinds = self._read_kinds()
        if name not in self._kinds:
            raise UnknownTask(name, sorted(self._kinds))
        return self._kinds[name]

    def _checked(
        self, kind: TaskKind, args: Sequence[object], kwargs: Mapping[str, object], key: str | None
    ) -> tuple[SpawnedJob, int]:
        """Return the job and the size of its arguments as JSON. The checks are those of a submission over HTTP."""
        wanted: object = None
        if "files" in kwargs and _is_option("files", kind.edge_signature):
            kwargs = dict(kwargs)
            wanted = kwargs.pop("files")
        files = self._handed.files(kind, {} if wanted is None else wanted)
        try:
            # With `ensure_ascii` half a surrogate pair, which no file can hold, would be encoded without an error.
            text = json.dumps([list(args), dict(kwargs)], allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            content = text.encode()
            plain: tuple[list[JsonValue], JsonObject] = json.loads(content)
        except (TypeError, ValueError, RecursionError) as err:
            raise BadArguments(kind.name, f"the arguments are not plain JSON: {err}") from err
        if len(content) > self._max_bytes:
            what = f"the arguments have {len(content)} bytes as JSON, more than gateway.max_body_bytes"
            raise BadArguments(kind.name, f"{what} = {self._max_bytes}")
        if _deeper(plain, _MAX_DEPTH):
            raise BadArguments(kind.name, "the arguments are nested too deeply")
        if (name := duplicate(content)) is not None:
            raise BadArguments(kind.name, f"two keys of a dict become {name[:80]!r} in JSON, as 1 and '1' do")
        waits, named = _options(kind, plain[1])
        results = list(results_in([plain[0], named]))
        if not results:
            kind.edge_signature.bind(plain[0], named)  # otherwise the gateway does so, once it has the results
        later(waits, results=results)
        job = SpawnedJob(
            kind.name,
            plain[0],
            named,
            power=kind.edge_power,
            retries=kind.edge_retries,
            time_limit_s=kind.edge_time_limit_s,
            key=key or "",
            call=0 if key else self._calls + 1,
            files=files,
            **{name: getattr(waits, name) for name in Waits.__struct_fields__},
        )
        return job, len(content)

    def _recalled(self) -> dict[str, bytes]:
        """Return the fingerprints of all jobs spawned so far, also by earlier attempts, by job id. Raises OSError."""
        if self._known is None:
            known = dict[str, bytes]()
            before = self._hand_over.known(self._parent)
            for spawned in before:
                for job in spawned.jobs:
                    known.setdefault(job.id(self._parent), job.fingerprint)
            self._known, self._files = known, len(before)
        return self._known

    def _add(self, job: SpawnedJob, size: int) -> None:
        if not self._group:
            self._timer = threading.Timer(WAIT_S, self.saved)
            self._timer.daemon = True
            self._timer.start()
        self._group.append((job, size))
        self._group_bytes += size
        if len(self._group) >= GROUP or self._group_bytes >= GROUP_BYTES:
            if self._group_bytes >= _WAITING_BYTES:
                self.flush()
            else:
                self.saved()

    def _raise_conflict(self) -> None:
        if self._conflict is not None:
            raise self._conflict


class LocalSpawner:
    """Replaces a `Spawner` if there is no worker: each call appends a line of JSON to a file."""

    def __init__(self, parent: str, path: Path) -> None:
        self._parent, self._path = parent, path
        self._calls = 0

    def spawn(self, task: object, args: Sequence[object], kwargs: Mapping[str, object], *, key: str | None) -> str:
        """Write the call to the file. Arguments are checked unless `task` is only a name.

        Raises UsageError, BadArguments, OSError.
        """
        if (signature := getattr(task, "edge_signature", None)) is not None:
            signature.bind(args, {name: value for name, value in kwargs.items() if not _is_option(name, signature)})
        name = task_name(task)
        self._calls += not key
        job_id = spawned_job_id(self._parent, key=key or "", call=0 if key else self._calls)
        call = {"id": job_id, "task": name, "args": list(args), "kwargs": dict(kwargs), "key": key}
        with self._path.open("a") as file:
            file.write(f"{json.dumps(call, allow_nan=False, default=_path)}\n")
        return job_id


def _path(value: object) -> str:
    """Return the text of a path, the only value of a call that may not be JSON. Raises TypeError."""
    if not isinstance(value, PurePath):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return os.fspath(value)


def _options(kind: TaskKind, kwargs: JsonObject) -> tuple[Waits, JsonObject]:
    """Split the named arguments of a call into the options for waiting and the arguments. Raises UsageError."""
    options = {name: value for name, value in kwargs.items() if _is_option(name, kind.edge_signature)}
    if isinstance(options.get("after"), str):
        options["after"] = [options["after"]]
    try:
        waits = msgspec.convert(options, Waits)
    except msgspec.ValidationError as err:
        raise UsageError(f"spawn: {str(err).replace('`', '').replace(' - at $.', ' in ')}") from err
    return waits, {name: value for name, value in kwargs.items() if name not in options}


def _is_option(name: str, signature: Signature) -> bool:
    """Return True if a named argument of a call is an option.

    If the kind has an argument of that name, the name means the argument. So it was before there were such options.
    """
    return (name in Waits.__struct_fields__ or name == "files") and not signature.has(name)


def task_name(task: object) -> str:
    """Return the name of `task`, which is a decorated function or a name already. Raises UsageError otherwise."""
    name = task if isinstance(task, str) else getattr(task, "name", None)
    if not isinstance(name, str):
        raise UsageError(f"spawn: {type(task).__name__} is not a task; pass a task, or its name")
    return name


def _deeper(value: object, levels: int) -> bool:
    """Return True if lists and dicts in `value` are nested deeper than `levels`."""
    left = [(value, 0)]
    while left:
        each, depth = left.pop()
        if depth > levels:
            return True
        if isinstance(each, dict):
            left.extend((child, depth + 1) for child in each.values())
        elif isinstance(each, list):
            left.extend((child, depth + 1) for child in each)
    return False
