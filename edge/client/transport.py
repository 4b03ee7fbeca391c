"""Sends requests to one gateway: repeats them after a failure, and turns problem documents into errors."""

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
#: Statuses of a gateway (or a proxy before it) that cannot serve now: the same request may succeed later.
_TRY_AGAIN = frozenset({429, 502, 503, 504})

T = TypeVar("T")


class Transport:
    """Sends requests to one gateway. Every request is idempotent, or has a key that makes it so: it may be repeated.

    `on_retry` is called with the reason before each repetition. Threads may share a transport.
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
        """Return the answer decoded as `kind`. Raises Unreachable, NotAllowed, or the error of its problem document."""
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
        """Return the answer if its status is below 300, and raise its error otherwise.

        The request is repeated while there is no answer, or one that asks to try again.

        Args:
            method: the method of HTTP.
            path: the path, quoted.
            query: parameters; those that are None are left out.
            body: the body. A `Source` can be sent only once, so it needs `patience_s` 0.
            headers: further headers.
            longer_s: how much longer than `read_s` of the settings the gateway may take.
            stream: True to return before the body is read.
            patience_s: how long to repeat the request; by default `patience_s` of the settings.
        """
        target = path
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        if wanted:
            target += "?" + urlencode(wanted)
        give_up = time.monotonic() + (self.settings.patience_s if patience_s is None else patience_s)
        pauses = _RETRY.pauses()
        while True:
            try:
                # A redirect is an error like any other, because a token must not be sent to another host.
                answer = self._connections.request(
                    method,
                    target,
                    headers={**self._headers, **(headers or {})},
                    body=body,
                    connect_s=self.settings.connect_s,
                    read_s=self.settings.read_s + longer_s,
                )
                if not stream or answer.status >= 300:
                    answer.data  # noqa: B018 - read here, so that a lost connection repeats the request
            except LinkError as err:
                why = self._why(err)
                failure: EdgeError = Unreachable(f"cannot reach the gateway at {self.settings.url}: {why}")
                failure.__cause__ = err
                if isinstance(err, UntrustedCertificate):
                    raise failure from err  # a second request would get the same certificate
                after = 0.0
            else:
                if answer.status < 300:
                    return answer
                problem, after = _problem(answer)
                failure = error_of(problem)
                if answer.status not in _TRY_AGAIN:
                    raise failure
            # Up to half of the pause is random, because after a power cut all machines of a LAN come back at once.
            wait = max(after, next(pauses) * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            if time.monotonic() + wait > give_up:
                raise failure
            if self._on_retry is not None:
                self._on_retry(failure)
            time.sleep(wait)

    def _why(self, err: LinkError) -> str:
        """Return one phrase that says why there was no answer."""
        if not isinstance(err, UntrustedCertificate):
            return str(err)
        if self.settings.certificate:
            cure = "it reads that when it starts"
            if self.settings.paired:
                cure = "if the board has a new one, `edge pair` compares it; otherwise an attacker may answer"
            return f"it has another certificate than {self.settings.certificate}; {cure} ({err})"
        return f"its certificate is not trusted ({err}); name the PEM file that vouches for it in EDGE_CA_FILE"


def _fingerprint(path: Path) -> str:
    """SHA-256 of the first certificate in a PEM file. Raises ConfigError."""
    import ssl  # imported here, because most clients trust no single certificate

    try:
        _, begin, rest = path.read_text().partition(ssl.PEM_HEADER)
        first, end, _ = rest.partition(ssl.PEM_FOOTER)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(begin + first + end)).hexdigest()
    except (OSError, ValueError) as err:
        raise ConfigError("certificate", str(path), f"expected a readable PEM file ({err})") from err


def path_of(*parts: str) -> str:
    """Return `/v1/...` with each part quoted, so that no id can change the path. Raises BadJobId for an empty part."""
    if not all(parts):
        raise BadJobId("")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def decoded(data: bytes, kind: type[T]) -> T:
    """Return the JSON `data` as `kind`. Raises GatewayError if it does not fit: then the server is not a gateway."""
    try:
        return msgspec.json.decode(data, type=kind)
    except ValueError as err:  # msgspec's errors and those of UTF-8 are ValueErrors
        raise GatewayError(200, "", f"the server is not an edge gateway of this version: {err}") from err


def error_of(problem: Problem) -> EdgeError:
    """Return the error for a problem document, with the sentence of the gateway."""
    sentence = problem.detail or problem.title or f"the gateway answered {problem.status}"
    match problem.code:
        case ProblemCode.UNKNOWN_JOB:
            return UnknownJob.reported(sentence, job_id=problem.job_id)
        case ProblemCode.JOB_GONE:
            return JobGone.reported(sentence, job_id=problem.job_id)
        case ProblemCode.WRONG_STATE:
            return WrongState(sentence)
        case ProblemCode.NOT_IN_TIME:
            return NotInTime(sentence)
        case ProblemCode.KEY_REUSED:
            return KeyReused.reported(sentence, key="", job_id=problem.job_id)
        case ProblemCode.BAD_ARGUMENTS:
            return BadArguments.reported(sentence, task="", reason=sentence)
        case ProblemCode.UNKNOWN_TASK:
            return UnknownTask.reported(sentence, task="", known=[])
        case ProblemCode.UNKNOWN_FILE:
            return UnknownFile.reported(sentence, job_id=problem.job_id, name="", known=[])
        case ProblemCode.UNKNOWN_INPUT:
            return UnknownInput.reported(sentence, name="", sha256="")
        case ProblemCode.UNKNOWN_SCHEDULE:
            return UnknownSchedule.reported(sentence, name="")
        case ProblemCode.BAD_SCHEDULE:
            return BadSchedule(sentence)
        case ProblemCode.UNAUTHENTICATED | ProblemCode.FORBIDDEN:
            return NotAllowed(sentence)
        case ProblemCode.ASLEEP:
            return Asleep.reported(sentence, awake_at=problem.awake_at)
        case ProblemCode.BAD_REQUEST | ProblemCode.TOO_LARGE:
            return UsageError(sentence)
    if problem.status in _TRY_AGAIN:
        return Unreachable(sentence)
    return GatewayError(problem.status, problem.code, sentence)


def _problem(answer: Answer) -> tuple[Problem, float]:
    """Return the problem document of an answer, and the seconds that it asks to wait."""
    try:
        problem = msgspec.json.decode(answer.data, type=Problem)
    except ValueError:
        status = f"{answer.status} {answer.reason}".strip()
        problem = Problem(
            status, answer.status, detail=f"the server at the gateway's address answered {status}, and is not a gateway"
        )
    try:
        after = float(answer.headers.get("retry-after", "0"))
    except ValueError:  # a date is ignored, because the clocks of two machines may differ
        after = 0.0
    return problem, max(0.0, after)
