"""Limits of single kinds of job, as `limits:` in `edge.yaml` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError

_Number = Annotated[int, Meta(ge=1, le=100_000)]


class LimitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many jobs of a kind may be at work, on all workers and nodes together."""

    at_once: Annotated[_Number | None, about("At the same time. null: as many as the workers run.")] = None
    per_minute: Annotated[_Number | None, about("Begun within any minute. null: as many as come.")] = None


def check(limits: Mapping[str, LimitConfig]) -> None:
    """Raise ConfigError, naming the key, on an entry that limits nothing."""
    for kind, limit in limits.items():
        if limit.at_once is None and limit.per_minute is None:
            raise ConfigError(f"limits.{kind}", {}, "at_once, per_minute, or both")
