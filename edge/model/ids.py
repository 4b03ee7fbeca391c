"""The id of a job: it names files, so not every text can be one."""

from __future__ import annotations

import re
import uuid
from hashlib import sha256

from edge.core.errors import BadJobId

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_job_id(text: str) -> bool:
    """True when `text` can name the files of a job."""
    return _JOB_ID.fullmatch(text) is not None


def check_job_id(job_id: str) -> str:
    """The id itself when it can name a file; raises BadJobId."""
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise BadJobId(job_id)
    return job_id


def new_job_id() -> str:
    """A random id, never from the clock: a board may boot in 1970 every day."""
    return str(uuid.uuid4())


def derived_job_id(submitter: str, key: str) -> str:
    """The one id that belongs to a submitter's idempotency key (a version 8 UUID of its hash)."""
    digits = sha256(f"{submitter}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def file_safe_id(wire_id: str) -> str:
    """A usable id for whatever stood in a message: itself, or one derived from it."""
    if is_job_id(wire_id):
        return wire_id
    return "x-" + sha256(wire_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
