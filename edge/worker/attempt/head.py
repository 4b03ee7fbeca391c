"""The head of a node: results go there by HTTPS, and count once it has said that they are durable.

Every fault of the way is an OSError, as a fault of the disk is: the worker holds the job and tries again.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Sequence
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
    given,
)
from edge.core.layout import Layout
from edge.model import Attempts, Failure, FailureCode, JobState, Result, SpawnedJobs
from edge.results.attempts import AttemptsStore
from edge.results.commit import Written
from edge.results.spawned import SpawnedFiles
from edge.results.staging import Staging
from edge.results.store import Results
from edge.wire import JobView
from edge.worker.api.spawner import HandOver

logger = logging.getLogger(__name__)

#: How much longer than usual an answer may take: the head copies what it was sent, and syncs it.
_LONGER_S = 120.0


class Head:
    """The head's gateway. Raises Unreachable and NotAllowed (OSErrors), UsageError on what it will never take."""

    def __init__(self, config: NodeConfig) -> None:
        """Raises ConfigError when the token cannot be read."""
        url, token_file = given(config.head_url, "node.head_url"), given(config.token_file, "node.token_file")
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("node.token_file", str(config.token_file), str(err)) from err
        # No patience: the worker holds the job, says so, and comes again.
        self._http = Transport(Settings(url.rstrip("/"), token, config.ca_file, patience_s=0.0))

    def ended(self, job_id: str) -> bool:
        """True when the head has a durable result of the job, or removed it."""
        try:
            return self._http.json("GET", path_of("jobs", job_id), JobView).state.final
        except UnknownJob:
            return False  # from plain Celery on the head: its gateway learns of it by the result
        except JobGone:
            return True
        except GatewayError as err:
            raise Unreachable(f"the head: {err}") from err

    def put(self, *path: str, body: bytes | BinaryIO, media: str = "application/json", attempt: str = "") -> None:
        """Hand something in; on return the head has it."""
        headers, query = {"Content-Type": media}, {"attempt": attempt or None}
        if not isinstance(body, bytes):
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)  # a file goes out in pieces
        try:
            self._http.send("PUT", path_of(*path), query=query, body=body, headers=headers, longer_s=_LONGER_S)
        except GatewayError as err:  # its card is full, or it failed: it may be well again later
            raise Unreachable(f"the head: {err}") from err


class HeadResults(Results):
    """Results of a node: staged here, published there. Each worker stages in a folder of its own name."""

    def __init__(self, layout: Layout, head: Head, name: str) -> None:
        super().__init__(layout)
        self._root = layout.results / name
        self._head = head

    def has(self, job_id: str) -> bool:
        """True when the job is over, as the head knows it. Raises OSError."""
        return self._head.ended(job_id)

    def publish(self, result: Result, staging: Staging | None = None) -> bool:
        """Hand the result in, its files first; on return the job has its one durable result, this or an earlier one."""
        self._settle(self.write(result, staging))
        return True

    def write(self, result: Result, staging: Staging | None = None) -> Written:
        """Make the result ready to be handed in; nothing is written here, for the head is what makes it durable."""
        staging = staging or self.stage(result.id)
        result = msgspec.structs.replace(result, files=staging.seal())
        size = len(msgspec.json.encode(result))
        return Written(result, size, private="", path="", notice="", shard=staging.folder.parent, staging=staging)

    def commit(self, members: Sequence[Written]) -> list[OSError | None]:
        """Hand the results in, one after another; what the head did not take is written anew, with the same files."""
        outcomes: list[OSError | None] = []
        for member in members:
            try:
                self._settle(member)
            except OSError as err:
                outcomes.append(err)
            else:
                outcomes.append(None)
        return outcomes

    def _settle(self, written: Written) -> None:
        """Hand the result in; what the head will never take ends as a failure that says so, and blames no other job.

        Raises OSError.
        """
        try:
            self._hand_in(written)
            return
        except OSError:
            raise
        except EdgeError as err:
            logger.error("the head refuses the result of job %s: %s", written.result.id, err)
            refused = _refused(written.result, str(err))
        try:
            self._hand_in(dataclasses.replace(written, result=refused))
        except OSError:
            raise
        except EdgeError:  # then it is the arguments that are too much for it
            self._hand_in(dataclasses.replace(written, result=msgspec.structs.replace(refused, args=[], kwargs={})))

    def _hand_in(self, written: Written) -> None:
        result, staging = written.result, given(written.staging, "the staging of a written result")
        attempt = staging.folder.name.rpartition(".")[2]
        for artifact in result.files:
            with (staging.folder / artifact.name).open("rb") as file:
                place = ("jobs", result.id, "files", artifact.name)
                self._head.put(*place, body=file, media="application/octet-stream", attempt=attempt)
        self._head.put("jobs", result.id, "result", body=msgspec.json.encode(result), attempt=attempt)
        staging.discard()

    def announce(self, job_id: str) -> None:
        """Nothing: the head tells those who wait."""

    def recover(self, *, forget_before: float | None = None) -> None:  # noqa: ARG002 - nothing is kept here
        """Drop the files of this worker's attempts that were cut short: their jobs come again."""
        if self._root.is_dir():
            for path in self._root.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
        self._durable_folders.clear()


class HeadAttempts(AttemptsStore):
    """Attempts of a node's jobs: kept here, and told to the head where it has to publish the job again."""

    def __init__(self, layout: Layout, head: Head) -> None:
        super().__init__(layout)
        self._head = head

    def write(self, attempts: Attempts) -> None:
        """Durable here; a further failure there first, for once it stands here its message counts as an old one.

        Raises OSError.
        """
        before = self.read(attempts.id)
        if attempts.failures > (before.failures if before is not None else 0):
            self._head.put("jobs", attempts.id, "attempts", body=msgspec.json.encode(attempts))
        super().write(attempts)


def _refused(result: Result, why: str) -> Result:
    """The end of a job whose result its head will not take; a failure of its own stays, without its files."""
    failure = result.failure or Failure(FailureCode.TOO_LARGE, f"the head refused the result: {why}")
    state = JobState.FAILED if result.failure is None else result.state
    return msgspec.structs.replace(result, state=state, value=None, files=(), failure=failure)


class HeadSpawned:
    """A `HandOver` of a node: what its bodies spawn goes to the head. Callable from any thread.

    What earlier attempts spawned only the head knows. It makes nothing twice, and says where another job is in a place.
    """

    def __init__(self, config: NodeConfig) -> None:
        """Raises ConfigError when the token cannot be read."""
        self._head = Head(config)

    def known(self, _parent: str) -> list[SpawnedJobs]:
        """Nothing."""
        return []

    def write(self, spawned: SpawnedJobs, *, number: int) -> None:  # noqa: ARG002 - the head needs no order of files
        """Hand in; on return the head's ledger has the jobs. Raises OSError, SpawnedOtherwise."""
        try:
            self._head.put("jobs", spawned.id, "spawned", body=msgspec.json.encode(spawned))
        except KeyReused as err:
            raise SpawnedOtherwise.reported(str(err), key="", job_id=err.job_id) from err


def stores(config: Config, name: str) -> tuple[Results, AttemptsStore]:
    """Where results and attempts of the worker `name` go: here, or to the head. Raises ConfigError."""
    if config.node.head_url is None:
        return Results(config.layout), AttemptsStore(config.layout)
    head = Head(config.node)
    return HeadResults(config.layout, head, name), HeadAttempts(config.layout, head)


def hand_over(config: Config) -> HandOver:
    """Where the bodies of this board hand in what they spawn: here, or at the head. Raises ConfigError."""
    if config.node.head_url is None:
        return SpawnedFiles(config.layout)
    return HeadSpawned(config.node)
