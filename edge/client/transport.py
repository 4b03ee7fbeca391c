"""HTTP to one gateway: connections kept open, lost ones tried again, problems turned into errors."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from edge import __version__
from edge.client.connection import Address, Answer, Connections, LinkError, Source, UntrustedCertificate
from edge.client.settings import Settings
from edge.core.backoff import Backoff
from edge.core.errors import (
    Asleep,
    BadArguments,
    BadJobId,
    BadSchedule,
    ConfigError,
    EdgeError,
    GatewayError,
    JobGone,
    KeyReused,
    NotAllowed,
    NotInTime,
    UnknownFile,
    UnknownInput,
    UnknownJob,
    UnknownSchedule,
    UnknownTask,
    Unreachable,
    UsageError,
    WrongState,
)
from edge.wire import Problem, ProblemCode

_RETRY = Backoff(first_s=0.2, most_s=5.0)
#: The gateway (or a proxy before it) cannot serve now: the same request may pass later.
_TRY_AGAIN = frozenset({429, 502, 503, 504})

T = TypeVar("T")


class Transport:
    """Requests to one gateway; every one is idempotent by its nature or by its key, so each may be sent again.

    `on_retry` is told why, each time one is. May be shared by threads.
    """

    def __init__(self, settings: Settings, *, on_retry: Callable[[EdgeError], None] | None = None) -> None:
        self.settings = settings
        self._on_retry = on_retry
        fingerprint = _fingerprint(settings.certificate) if settings.certificate else ""
        self._connections = Connections(Address(settings.url, settings.ca_file, fingerprint))
        self._headers = {"User-Agent": f"edge/{__version__}", "Accept": "application/json"}
        if settings.token:
            self._headers["Authorization"] = f"Bearer {settings.token}"

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._connections.close()

    def json(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        longer_s: float = 0.0,
    ) -> T:
        """The answer decoded as `kind`; raises Unreachable, NotAllowed or what the problem stands for."""
        answer = self.send(method, path, query=query, body=body, headers=headers, longer_s=longer_s)
        return decoded(answer.data, kind)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | Source | None = None,
        headers: Mapping[str, str] | None = None,
        longer_s: float = 0.0,
        stream: bool = False,
        patience_s: float | None = None,
    ) -> Answer:
        """The answer, once there is one below 300; tries again for `patience_s` while nobody answers.

        `longer_s` is how much longer than usual the gateway may take. A file as `body` is sent once: without patience.
        """
        target = path
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        if wanted:
            target += "?" + urlencode(wanted)
        give_up = time.monotonic() + (self.settings.patience_s if patience_s is None else patience_s)
        pauses = _RETRY.pauses()
        while True:
            try:
                # A redirect is an error like any other: a token must not follow to another host.
                answer = self._connections.request(
                    method,
                    target,
                    headers={**self._headers, **(headers or {})},
                    body=body,
                    connect_s=self.settings.connect_s,
                    read_s=self.settings.read_s + longer_s,
                )
                if not stream or answer.status >= 300:
                    answer.data  # noqa: B018 - read here, where what is lost is tried again
            except LinkError as err:
                why = self._why(err)
                failure: EdgeError = Unreachable(f"cannot reach the gateway at {self.settings.url}: {why}")
                failure.__cause__ = err
                if isinstance(err, UntrustedCertificate):
                    raise failure from err  # a certificate does not get better by asking again
                after = 0.0
            else:
                if answer.status < 300:
                    return answer
                problem, after = _problem(answer)
                failure = error_of(problem)
                if answer.status not in _TRY_AGAIN:
                    raise failure
            # Up to half of the pause is left to chance: after a power cut a whole LAN comes back at once.
            wait = max(after, next(pauses) * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            if time.monotonic() + wait > give_up:
                raise failure
            if self._on_retry is not None:
                self._on_retry(failure)
            time.sleep(wait)

    def _why(self, err: LinkError) -> str:
        """One phrase on why nobody answered."""
        if not isinstance(err, UntrustedCertificate):
            return str(err)
        if self.settings.certificate:
            cure = "it reads that when it starts"
            if self.settings.paired:
                cure = "if the board has a new one, `edge pair` compares it; else somebody is between"
            return f"it has another certificate than {self.settings.certificate}; {cure} ({err})"
        return f"its certificate is not trusted ({err}); name the PEM file that vouches for it in EDGE_CA_FILE"


def _fingerprint(path: Path) -> str:
    """SHA-256 of the first certificate in a PEM file. Raises ConfigError."""
    import ssl  # only where one certificate alone is trusted

    try:
        _, begin, rest = path.read_text().partition(ssl.PEM_HEADER)
        first, end, _ = rest.partition(ssl.PEM_FOOTER)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(begin + first + end)).hexdigest()
    except (OSError, ValueError) as err:
        raise ConfigError("certificate", str(path), f"expected a readable PEM file ({err})") from err


def path_of(*parts: str) -> str:
    """`/v1/...` with each part quoted, so that no id or name can leave its place. Raises BadJobId on an empty one."""
    if not all(parts):
        raise BadJobId("")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def decoded(data: bytes, kind: type[T]) -> T:
    """`data` as `kind`; raises GatewayError when something else answered."""
    try:
        return msgspec.json.decode(data, type=kind)
    except ValueError as err:  # msgspec's errors and those of UTF-8 are ValueErrors
        raise GatewayError(200, "", f"what answered is not an edge gateway of this version: {err}") from err


def error_of(problem: Problem) -> EdgeError:
    """The error a problem stands for, with the sentence of the gateway."""
    said = problem.detail or problem.title or f"the gateway answered {problem.status}"
    match problem.code:
        case ProblemCode.UNKNOWN_JOB:
            return UnknownJob.reported(said, job_id=problem.job_id)
        case ProblemCode.JOB_GONE:
            return JobGone.reported(said, job_id=problem.job_id)
        case ProblemCode.WRONG_STATE:
            return WrongState(said)
        case ProblemCode.NOT_IN_TIME:
            return NotInTime(said)
        case ProblemCode.KEY_REUSED:
            return KeyReused.reported(said, key="", job_id=problem.job_id)
        case ProblemCode.BAD_ARGUMENTS:
            return BadArguments.reported(said, task="", reason=said)
        case ProblemCode.UNKNOWN_TASK:
            return UnknownTask.reported(said, task="", known=[])
        case ProblemCode.UNKNOWN_FILE:
            return UnknownFile.reported(said, job_id=problem.job_id, name="", known=[])
        case ProblemCode.UNKNOWN_INPUT:
            return UnknownInput.reported(said, name="", sha256="")
        case ProblemCode.UNKNOWN_SCHEDULE:
            return UnknownSchedule.reported(said, name="")
        case ProblemCode.BAD_SCHEDULE:
            return BadSchedule(said)
        case ProblemCode.UNAUTHENTICATED | ProblemCode.FORBIDDEN:
            return NotAllowed(said)
        case ProblemCode.ASLEEP:
            return Asleep.reported(said, awake_at=problem.awake_at)
        case ProblemCode.BAD_REQUEST | ProblemCode.TOO_LARGE:
            return UsageError(said)
    if problem.status in _TRY_AGAIN:
        return Unreachable(said)
    return GatewayError(problem.status, problem.code, said)


def _problem(answer: Answer) -> tuple[Problem, float]:
    """What the answer says is wrong, and how many seconds it asks to wait."""
    try:
        problem = msgspec.json.decode(answer.data, type=Problem)
    except ValueError:
        said = f"{answer.status} {answer.reason}".strip()
        problem = Problem(said, answer.status, detail=f"the gateway's address answered {said}, not as a gateway does")
    try:
        after = float(answer.headers.get("retry-after", "0"))
    except ValueError:  # a date: the clocks of two boards are not compared
        after = 0.0
    return problem, max(0.0, after)
