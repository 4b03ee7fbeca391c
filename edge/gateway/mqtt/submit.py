"""Accepts jobs from a topic: each message is a job. Its answer is another message, sent once the job is durable.

The board does not know the users of an MQTT broker, so a message proves nothing about its sender. All clients that may
write to the topic are one submitter: the token that `mqtt.submit` names. The token limits what they can do (scope
submit, some kinds of job), and `edge token revoke` ends it. The access list of the broker decides which of its users
may write to the topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from edge.access.tokens import Scope
from edge.config.mqtt import MqttSubmitConfig
from edge.core.errors import EdgeError
from edge.core.values import JsonObject
from edge.gateway.http import bodies, problems
from edge.gateway.http.auth import Authenticator, Caller
from edge.gateway.http.problems import BadRequest, Busy, Forbidden, TooLarge
from edge.gateway.mqtt.entities import Topics
from edge.gateway.mqtt.log_limit import LogLimit
from edge.gateway.service import Appliance
from edge.ledger.rows import Accepted, NewJob
from edge.model import Submission
from edge.mqtt.connection import Publication, Received
from edge.wire import KEY_RULE, BatchItem, is_key

#: Largest message with a job. Larger jobs must be submitted by HTTP.
MAX_BYTES = 65_536
_AT_ONCE = 64  # largest number of messages that are processed at the same time
_LONGEST = 500  # largest number of characters of the reason in a refusal
_encode = msgspec.json.Encoder().encode


class SubmitByTopic:
    """Accepts or refuses the jobs of the topic, and publishes the answers. Belongs to the event loop."""

    def __init__(
        self,
        appliance: Appliance,
        authenticator: Authenticator,
        config: MqttSubmitConfig,
        topics: Topics,
        publish: Callable[[Publication], bool],
    ) -> None:
        """`publish` sends an answer; it returns False if there is no connection."""
        self._appliance, self._authenticator, self._config, self._topics = appliance, authenticator, config, topics
        self._publish = publish
        self._refused = LogLimit()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Received) -> None:
        """Begin to process a message; the answer is published later."""
        if message.retained:
            self._refuse("", BadRequest("a retained message is not accepted as a job: publish it without retain"))
            return
        if len(self._tasks) >= _AT_ONCE:
            self._refuse("", Busy(f"{_AT_ONCE} other jobs are being processed; send this one again"))
            return
        task = asyncio.get_running_loop().create_task(self._take(message.payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait at most 5 s until all jobs that are being processed are answered."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)

    async def _take(self, payload: bytes) -> None:
        key = ""
        try:
            if len(payload) > MAX_BYTES:
                raise TooLarge(f"the message has {len(payload)} bytes; at most {MAX_BYTES} are taken, more by HTTP")
            item = bodies.decode(payload, BatchItem)
            key = item.key if item.key is not None and is_key(item.key) else ""
            job = await asyncio.to_thread(self._checked, item)
            (answer,) = await self._appliance.accept([job])
            if isinstance(answer, EdgeError):
                raise answer
        except EdgeError as err:
            self._refuse(key, err)
        except Exception as err:  # the submitter waits for an answer, and no other code would send one
            self._refuse(key, err)
            raise
        else:
            self._accept(key, answer)

    def _checked(self, item: BatchItem) -> NewJob:
        """Return the job, or raise the EdgeError because of which it is refused. Runs in a thread."""
        caller = self._caller()
        if not item.key:
            raise BadRequest("key: must be given, so that a job that is sent twice is one job")
        if not is_key(item.key):
            raise BadRequest(f"key {item.key[:80]!r}: {KEY_RULE}")
        if item.task not in self._config.kinds:
            allowed = ", ".join(self._config.kinds)
            raise Forbidden(f"task {item.task!r}: by topic there are {allowed} (mqtt.submit.kinds)")
        submission = Submission(**{name: getattr(item, name) for name in Submission.__struct_fields__})
        return self._appliance.drafts.checked(submission, key=item.key, caller=caller)

    def _caller(self) -> Caller:
        name = self._config.token
        token = self._authenticator.token(name)
        if token is None or not {Scope.SUBMIT, Scope.ADMIN} & set(token.scopes):
            raise Forbidden(f"this board has no token {name!r} with scope submit: edge token add {name}")
        return Caller(name, frozenset({Scope.SUBMIT}))

    def _accept(self, key: str, answer: Accepted) -> None:
        content: JsonObject = {"key": key, "id": answer.job.id, "state": answer.job.state.value, "new": answer.created}
        self._publish(Publication(self._topics.accepted, _encode(content), sure=True))

    def _refuse(self, key: str, err: Exception) -> None:
        problem = problems.of(err)
        detail = " ".join(problem.detail.split())[:_LONGEST]
        self._refused.warn(f"{self._topics.submit}: {detail}")
        content: JsonObject = {"key": key, "code": problem.code, "error": detail}
        self._publish(Publication(self._topics.refused, _encode(content), sure=True))
