"""The type of a kind of job inside the worker. Celery's class of a task has no types."""

from __future__ import annotations

from typing import Protocol

from edge.catalog.signature import Signature
from edge.config import CommandConfig
from edge.core.values import JsonValue
from edge.model import Pool, Power


class RequestStack(Protocol):
    """Celery's stack of the requests of one kind of job, one stack for each thread."""

    def push(self, request: object) -> object:
        """Make `request` the current request, which the body can read."""


class TaskKind(Protocol):
    """One task of the app, with the settings of `@task`. A message may override retries and time limit."""

    name: str
    edge_signature: Signature
    edge_power: Power
    edge_pool: Pool
    edge_retries: int
    edge_time_limit_s: float | None
    edge_command: CommandConfig | None
    request_stack: RequestStack

    def run(self, *args: JsonValue, **kwargs: JsonValue) -> JsonValue:
        """Call the plain function."""

    def pop_request(self) -> None:
        """Remove the request that was pushed last."""
