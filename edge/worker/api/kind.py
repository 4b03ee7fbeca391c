"""The type of a kind of job inside the worker. Celery's class of a task has no types."""

from __future__ import annotations

from typing import Protocol

from edge.catalog.signature import Signature
from edge.config import CommandConfig
from edge.core.values import JsonValue
from edge.model import Pool, Power


class TaskKind(Protocol):
    """One task of the app, with the settings of `@task`. A message may override retries and time limit."""

    name: str
    edge_signature: Signature
    edge_power: Power
    edge_pool: Pool
    edge_retries: int
    edge_time_limit_s: float | None
    edge_command: CommandConfig | None

    def run(self, *args: JsonValue, **kwargs: JsonValue) -> JsonValue:
        """Call the plain function."""

    def push_request(self, **fields: object) -> None:
        """Make `fields` the current request of Celery, which the body can read."""

    def pop_request(self) -> None:
        """Remove the request that was pushed last."""
