"""Makes and checks job ids. A job id names files, so only some characters are allowed."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Callable
from hashlib import sha256

from edge.core.errors import BadJobId

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FRESH_KEY = re.compile(r"fresh:([0-9a-f]{2}):[0-9a-f-]{36}")
_HOUR_S = 3600.0
#: Largest number of ids in one folder. It is limited because a start of the gateway reads a whole folder of results.
_FOLDER_IDS = 4096


def is_job_id(text: str) -> bool:
    """Return True if `text` can name the files of a job."""
    return _JOB_ID.fullmatch(text) is not None


def check_job_id(job_id: str) -> str:
    """Return `job_id` if it can name a file. Raises BadJobId otherwise."""
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise BadJobId(job_id)
    return job_id


def new_job_id(prefix: str = "") -> str:
    """Return a random id that begins with `prefix` (two hexadecimal digits, or an empty string).

    The clock is not used: a board may boot in 1970 every day.
    """
    return prefix + str(uuid.uuid4())[len(prefix) :]


class Locality:
    """Chooses the first two digits of new ids, so that jobs of the same hour share them.

    Results lie in folders named by these digits. A commit of several results in one folder costs the card a third of a
    commit with a folder for each result. So one process uses the same digits for an hour, or for `_FOLDER_IDS` jobs. It
    starts at a random folder, and uses the monotonic clock because the wall clock may be wrong.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._first = secrets.randbelow(256)
        self._count = 0

    def prefix(self) -> str:
        """Return the two digits for the next id."""
        folder = self._first + int((self._clock() - self._began) // _HOUR_S) + self._count // _FOLDER_IDS
        self._count += 1
        return f"{folder % 256:02x}"


def fresh_key(prefix: str) -> str:
    """Return a new idempotency key for a submission without a key of the user. The job's id begins with `prefix`."""
    return f"fresh:{prefix}:{uuid.uuid4()}"


def derived_job_id(submitter: str, key: str) -> str:
    """Return the id for a submitter's idempotency key: a version 8 UUID of the hash of both.

    A key made by `fresh_key` also sets the first two digits of the id.
    """
    digits = sha256(f"{submitter}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    if fresh := _FRESH_KEY.fullmatch(key):
        digits = fresh[1] + digits[2:]
    return _uuid(digits)


def spawned_job_id(parent: str, *, key: str = "", call: int = 0) -> str:
    """Return the id of the job that the body of `parent` spawned with `key`, or without a key in call number `call`.

    It begins with the digits of the parent's id, so that their results can become durable together, see `Locality`.
    """
    name = f"key\0{key}" if key else f"call\0{call}"
    digits = sha256(f"spawned\0{parent}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
    first = int(parent[:2], 16) if re.match(r"[0-9a-f]{2}", parent) else int(digits[:2], 16)
    return _uuid(f"{(first + call // _FOLDER_IDS) % 256:02x}{digits[2:]}")


def _uuid(digits: str) -> str:
    """Return a version 8 UUID made of hexadecimal digits."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def file_safe_id(wire_id: str) -> str:
    """Return `wire_id` if it can name a file, or an id derived from it otherwise."""
    if is_job_id(wire_id):
        return wire_id
    return "x-" + sha256(wire_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
