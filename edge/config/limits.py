"""The section `limits` of `edge.yaml`: how many jobs of a kind may run at once and per minute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError

_Number = Annotated[int, Meta(ge=1, le=100_000)]


class LimitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of one kind of job, on all workers and nodes together."""

    at_once: Annotated[_Number | None, about("Jobs at the same time. null: no limit.")] = None
    per_minute: Annotated[_Number | None, about("Jobs that start within any minute. null: no limit.")] = None


def check(limits: Mapping[str, LimitConfig]) -> None:
    """Raise ConfigError, naming the key, on an entry that limits nothing."""
    for kind, limit in limits.items():
        if limit.at_once is None and limit.per_minute is None:
            raise ConfigError(f"limits.{kind}", {}, "expected at_once, per_minute, or both")
