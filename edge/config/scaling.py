"""The keys of an entry of `workers:` whose processes start and retire with the work, memory and power there is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError

#: Largest number of processes of one entry. A board has few cores, and a typing error must not start
#: a thousand processes.
MOST = 64
Number = Annotated[int, Meta(ge=0, le=MOST)]
Wait = Annotated[float, Meta(ge=0, le=86_400)]
Tasks = Annotated[int, Meta(ge=0, le=1_000_000)]
AUTO: Literal["auto"] = "auto"


class ScaleMode(StrEnum):
    """The measure that decides the number of workers."""

    DRAIN = "drain"  # the waiting work, in learned seconds
    TASKS = "tasks"  # the number of jobs, by two thresholds


class ScaleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many processes an entry of `workers:` has, and when that number changes."""

    min: Annotated[Number, about("Processes that always run, 0 to 64, if `max` is given.")] = 0
    max: Annotated[
        Number | Literal["auto"] | None,
        about(
            "Processes at most, 1 to 64, named NAME-1 and on; auto: as cores, memory and power allow. null: always "
            "one process."
        ),
    ] = None
    mode: Annotated[
        ScaleMode, about("drain: by the waiting work, in learned seconds; tasks: by up_at, down_at and rate_per_min.")
    ] = ScaleMode.DRAIN
    drain_target_s: Annotated[
        Annotated[float, Meta(ge=1, le=86_400)], about("Enough workers run to end the work in this time, 1 to 86400.")
    ] = 10.0
    up_after_s: Annotated[Wait, about("A process starts when more have been needed for this long, 0 to 86400.")] = 0.0
    down_after_s: Annotated[
        Annotated[float, Meta(ge=10, le=86_400)], about("A process retires when fewer have been needed for this long.")
    ] = 120.0
    start_cost_s: Annotated[
        Wait, about("Time that a start takes. No process starts for work that the others end before that.")
    ] = 3.0
    guess_s: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)], about("Assumed seconds of a job until its kind has been learned.")
    ] = 10.0
    guess_bytes: Annotated[
        Annotated[int, Meta(ge=1 << 20, le=1 << 40)],
        about("Assumed memory of a worker until its kinds have been learned."),
    ] = 128 << 20
    reserve_bytes: Annotated[
        Annotated[int, Meta(ge=0, le=1 << 40)], about("Memory that is left to everything else.")
    ] = 64 << 20
    up_at: Annotated[Annotated[int, Meta(ge=1, le=1_000_000)], about("mode tasks: jobs from which more start.")] = 10
    down_at: Annotated[Tasks, about("mode tasks: jobs down to which fewer are kept; below up_at.")] = 2
    rate_per_min: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)], about("mode tasks: jobs that one process ends in a minute.")
    ] = 10.0

    @property
    def scaled(self) -> bool:
        """True if the number of its processes changes; False for one process that always runs."""
        return self.max is not None

    @property
    def most(self) -> int:
        """The largest number of processes that the configuration allows."""
        return MOST if self.max == AUTO else self.max if self.max is not None else 1

    def check_scale(self, key: str) -> None:
        """Raise ConfigError, naming the key under `key`, if the bounds contradict one another."""
        if self.max is None:
            for name in self.__struct_fields__:
                if name in _KEYS and getattr(self, name) != _DEFAULTS[name]:
                    raise ConfigError(f"{key}.{name}", getattr(self, name), "give max too, a number or auto")
            return
        if self.most < 1:
            raise ConfigError(
                f"{key}.max", self.max, f"expected 1 to {MOST}, or auto; leave the worker out to have none"
            )
        if self.min > self.most:
            raise ConfigError(f"{key}.min", self.min, f"expected a number of at most max, which is {self.max}")
        if self.down_at >= self.up_at:
            raise ConfigError(f"{key}.down_at", self.down_at, f"expected a number below up_at, which is {self.up_at}")


_KEYS = frozenset(ScaleConfig.__struct_fields__) - {"max"}
_DEFAULTS: dict[str, object] = dict(zip(ScaleConfig.__struct_fields__, ScaleConfig.__struct_defaults__, strict=True))
