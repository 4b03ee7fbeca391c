"""The client of a node's head. Results go there by HTTPS, and are durable once the head has answered.

Every network fault is an OSError, like a fault of the disk: the worker keeps the job blocked and tries again.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import BinaryIO

import msgspec

from edge.client.settings import Settings
from edge.client.transport import Transport, path_of
from edge.config import Config
from edge.config.records import NodeConfig
from edge.core.errors import (
    ConfigError,
    EdgeError,
    GatewayError,
    JobGone,
    KeyReused,
    SpawnedOtherwise,
    UnknownJob,
    Unreachable,
    not_none,
)
from edge.core.layout import Layout
from edge.model import Attempts, Failure, FailureCode, HeadBacklog, JobState, NodeAway, OpenJobs, Result, SpawnedJobs
from edge.results.attempts import AttemptsStore
from edge.results.commit import Written
from edge.results.spawned import SpawnedFiles
from edge.results.staging import Staging
from edge.results.store import Results
from edge.wire import JobView
from edge.worker.api.spawner import HandOver

logger = logging.getLogger(__name__)

#: Extra time for the answer to an upload, because the head copies the files and syncs them.
_LONGER_S = 120.0


class Head:
    """Sends requests to the head's gateway. Methods may be called from any thread.

    They raise Unreachable or NotAllowed (both OSErrors) if a later try may succeed, and another EdgeError, such as
    UsageError, if the head will never accept the request.
    """

    def __init__(self, config: NodeConfig) -> None:
        """Read the token. Raises ConfigError if that fails."""
        url, token_file = not_none(config.head_url, "node.head_url"), not_none(config.token_file, "node.token_file")
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("node.token_file", str(config.token_file), str(err)) from err
        # No retries here: the worker reports the blocked job in its status and tries again later.
        self._http = Transport(Settings(url.rstrip("/"), token, config.ca_file, patience_s=0.0))

    def ended(self, job_id: str) -> bool:
        """Return True if the head has a durable result of the job, or has removed it."""
        try:
            return self._http.json("GET", path_of("jobs", job_id), JobView).state.final
        except UnknownJob:
            return False  # published by plain Celery on the head: the head's gateway learns of the job by its result
        except JobGone:
            return True
        except GatewayError as err:
            raise Unreachable(f"the head: {err}") from err

    def backlog(self) -> tuple[OpenJobs, ...]:
        """Return the open jobs of the head by kind."""
        try:
            return self._http.json("GET", path_of("backlog"), HeadBacklog).rows
        except GatewayError as err:
            raise Unreachable(f"the head: {err}") from err

    def away(self, awake_at: float) -> None:
        """Tell the head that this board sleeps until `awake_at`, in seconds since the epoch."""
        body = msgspec.json.encode(NodeAway(round(awake_at, 1)))
        self._http.send("PUT", path_of("away"), body=body, headers={"Content-Type": "application/json"})

    def content(self, sha256: str, start: int) -> Iterator[bytes]:
        """Yield the content of an input file, from the byte `start` on.

        Raises LinkError if the connection breaks, and UnknownFile if the head does not have the file.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = self._http.send("GET", path_of("files", sha256, "content"), headers=headers, stream=True)
        except GatewayError as err:
            raise Unreachable(f"the head: {err}") from err
        try:
            if start and answer.status != HTTPStatus.PARTIAL_CONTENT:
                raise Unreachable("the head does not resume a download that broke off")
            yield from answer.stream()
        finally:
            answer.close()

    def output(self, job_id: str, data: bytes, *, attempt: str, stream: str, offset: int) -> float:
        """Send a part of what a running program has printed. Return the seconds until the next part may be sent."""
        query = {"attempt": attempt, "stream": stream, "offset": offset}
        headers = {"Content-Type": "application/octet-stream"}
        try:
            answer = self._http.send("PUT", path_of("jobs", job_id, "output"), query=query, body=data, headers=headers)
            return max(1.0, float(answer.headers.get("edge-pause", "10")))
        except (GatewayError, ValueError) as err:
            raise Unreachable(f"the head: {err}") from err

    def put(self, *path: str, body: bytes | BinaryIO, media: str = "application/json", attempt: str = "") -> None:
        """Upload `body` to `/v1/PATH`. On return the head has it. Raises the errors that the class names.

        Args:
            *path: the parts of the address.
            body: the content, or an open file that is sent in pieces.
            media: its content type.
            attempt: identifies the attempt, so that two boards that run one job do not mix their files.
        """
        headers, query = {"Content-Type": media}, {"attempt": attempt or None}
        if not isinstance(body, bytes):
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)  # a file is sent in pieces
        try:
            self._http.send("PUT", path_of(*path), query=query, body=body, headers=headers, longer_s=_LONGER_S)
        except GatewayError as err:  # the head's disk is full, or the head failed: a later try may succeed
            raise Unreachable(f"the head: {err}") from err


class HeadResults(Results):
    """The results of a node. They are staged on the node, in one folder for each worker, and published by the head."""

    def __init__(self, layout: Layout, head: Head, name: str) -> None:
        super().__init__(layout)
        self._root = layout.results / name
        self._head = head

    def has(self, job_id: str) -> bool:
        """Return True if the job has ended, according to the head. Raises OSError."""
        return self._head.ended(job_id)

    def publish(self, result: Result, staging: Staging | None = None) -> bool:
        """Upload the files, then the result. Raises OSError.

        On return the job has its one durable result: this one, or an earlier one.
        """
        self._upload(self.write(result, staging))
        return True

    def write(self, result: Result, staging: Staging | None = None) -> Written:
        """Prepare the result for `commit`. Nothing is written here: the head makes it durable. Raises OSError."""
        staging = staging or self.stage(result.id)
        result = msgspec.structs.replace(result, files=staging.seal())
        size = len(msgspec.json.encode(result))
        return Written(result, size, private="", path="", notice="", shard=staging.folder.parent, staging=staging)

    def commit(self, members: Sequence[Written]) -> list[OSError | None]:
        """Upload the results one after another.

        Returns:
            None for each uploaded result, or the error. A result with an error is uploaded again later.
        """
        outcomes: list[OSError | None] = []
        for member in members:
            try:
                self._upload(member)
            except OSError as err:
                outcomes.append(err)
            else:
                outcomes.append(None)
        return outcomes

    def _upload(self, written: Written) -> None:
        """Upload the result. If the head will never accept it, upload a failure that says why.

        Raises OSError.
        """
        try:
            self._send(written)
            return
        except OSError:
            raise
        except EdgeError as err:
            logger.error("the head refuses the result of job %s: %s", written.result.id, err)
            refused = _refused(written.result, str(err))
        try:
            self._send(msgspec.structs.replace(written, result=refused))
        except OSError:
            raise
        except EdgeError:  # the head refuses the failure too, because the arguments are too large for it
            self._send(msgspec.structs.replace(written, result=msgspec.structs.replace(refused, args=[], kwargs={})))

    def _send(self, written: Written) -> None:
        result, staging = written.result, not_none(written.staging, "the staging of a written result")
        attempt = staging.folder.name.rpartition(".")[2]
        for artifact in result.files:
            with (staging.folder / artifact.name).open("rb") as file:
                place = ("jobs", result.id, "files", artifact.name)
                self._head.put(*place, body=file, media="application/octet-stream", attempt=attempt)
        self._head.put("jobs", result.id, "result", body=msgspec.json.encode(result), attempt=attempt)
        staging.discard()

    def announce(self, job_id: str) -> None:
        """Do nothing: the head announces its results itself."""

    def recover(self, *, forget_before: float | None = None) -> None:  # noqa: ARG002 - nothing is kept here
        """Remove the files of this worker's interrupted attempts, whose messages come again. Raises OSError."""
        if self._root.is_dir():
            for path in self._root.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
        self._durable_folders.clear()


class HeadAttempts(AttemptsStore):
    """The records of a node's attempts, kept on the node. Failures also go to the head, which publishes the retry."""

    def __init__(self, layout: Layout, head: Head) -> None:
        super().__init__(layout)
        self._head = head

    def write(self, attempts: Attempts) -> None:
        """Make the record durable here, after a new failure was sent to the head. Raises OSError.

        Once the failure is recorded here, the message counts as an old copy and is acknowledged. If the head did not
        know the failure by then, the job would never be published again.
        """
        before = self.read(attempts.id)
        if attempts.failures > (before.failures if before is not None else 0):
            self._head.put("jobs", attempts.id, "attempts", body=msgspec.json.encode(attempts))
        super().write(attempts)


def _refused(result: Result, why: str) -> Result:
    """Return `result` as a failure without value and files. If it is a failure already, it keeps that failure."""
    failure = result.failure or Failure(FailureCode.TOO_LARGE, f"the head refused the result: {why}")
    state = JobState.FAILED if result.failure is None else result.state
    return msgspec.structs.replace(result, state=state, value=None, files=(), failure=failure)


class HeadSpawned:
    """The `HandOver` of a node: sends the jobs that bodies spawn to the head.

    Its methods may be called from any thread.

    Only the head knows the jobs that earlier attempts spawned. It ignores a job that it has already. It refuses a job
    that differs from the one that an earlier attempt spawned in the same place.
    """

    def __init__(self, config: NodeConfig) -> None:
        """Read the token. Raises ConfigError if that fails."""
        self._head = Head(config)

    def known(self, _parent: str) -> list[SpawnedJobs]:
        """Return an empty list: only the head knows the jobs of earlier attempts."""
        return []

    def write(self, spawned: SpawnedJobs, *, number: int) -> None:  # noqa: ARG002 - the head needs no order of files
        """Send the jobs. On return they are durable in the head's ledger. Raises OSError, SpawnedOtherwise."""
        try:
            self._head.put("jobs", spawned.id, "spawned", body=msgspec.json.encode(spawned))
        except KeyReused as err:
            raise SpawnedOtherwise.reported(str(err), key="", job_id=err.job_id) from err


def stores(config: Config, name: str) -> tuple[Results, AttemptsStore]:
    """Return the stores for results and attempts of the worker `name`: local, or at the head. Raises ConfigError."""
    if config.node.head_url is None:
        return Results(config.layout), AttemptsStore(config.layout)
    head = Head(config.node)
    return HeadResults(config.layout, head, name), HeadAttempts(config.layout, head)


def hand_over(config: Config) -> HandOver:
    """Return the receiver of spawned jobs: a local folder, or the head. Raises ConfigError."""
    if config.node.head_url is None:
        return SpawnedFiles(config.layout)
    return HeadSpawned(config.node)
