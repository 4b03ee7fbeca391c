"""The section `power.sleep` of `edge.yaml`: when the board goes down to save power, and when it comes back."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.times import TimeOfDay, check_time, minute_of
from edge.core.errors import ConfigError

Watts = Annotated[float, Meta(ge=0, le=1000)]


class AcceptConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}, kw_only=True):
    """A daily window in which the board must be awake."""

    from_: Annotated[TimeOfDay, about("Begins at this time of the board's zone.", example="08:00")]
    to: Annotated[TimeOfDay, about("Ends at this time; a window may go over midnight.", example="20:00")]

    @property
    def minutes(self) -> tuple[int, int]:
        """(first, end) as minutes of the day; the window goes over midnight if first > end."""
        return minute_of(self.from_), minute_of(self.to)


class SleepConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the board sleeps, what wakes it, and the figures that decide if a sleep saves energy."""

    when: Annotated[
        Literal["never", "low", "idle"],
        about(
            "never: it does not sleep. low: it sleeps while power is low and no job may run. idle: it also sleeps "
            "while no job waits that power allows to run."
        ),
    ] = "never"
    wake: Annotated[
        Literal["alarm", "light"],
        about(
            "alarm: power off, and wake by the alarm of power.critical.wakealarm; light: stay on with cores off and "
            "Wi-Fi in power save, for a board that cannot wake by itself."
        ),
    ] = "alarm"
    accept: Annotated[
        tuple[AcceptConfig, ...],
        about(
            'Daily windows in which the board must be awake: `{from: "08:00", to: "20:00"}`. It '
            "sleeps only outside of them. Empty: it may sleep at any time."
        ),
    ] = ()
    wake_at: Annotated[
        TimeOfDay | None,
        about('Wakes no later than this time of day, such as "09:00", some time after sunrise. null: none.'),
    ] = None
    max_s: Annotated[
        Annotated[float, Meta(ge=600, le=86_400)],
        about("Longest sleep; then the board wakes and decides again. 600 to 86400."),
    ] = 21_600.0
    min_awake_s: Annotated[
        Annotated[float, Meta(ge=60, le=86_400)],
        about("Stays awake at least this long after a boot, so that the LAN can reach it. 60 to 86400."),
    ] = 600.0
    quiet_s: Annotated[
        Annotated[float, Meta(ge=0, le=86_400)],
        about("Stays awake this long after the last request with a token, page or command. 0 to 86400."),
    ] = 300.0
    ups_returns: Annotated[
        bool,
        about("true: the board has no alarm, but its UPS switches the power on again by itself."),
    ] = False
    boot_s: Annotated[
        Annotated[float, Meta(gt=0, le=3600)] | None,
        about("Seconds from power-on until jobs run. null: the mean of measured boots, 90 before there are any."),
    ] = None
    boot_watts: Annotated[Watts, about("Power that the board draws while it boots.")] = 3.0
    off_watts: Annotated[
        Watts, about("Power that it draws while it is off: about 0.05; 1.5 on a Pi without POWER_OFF_ON_HALT.")
    ] = 0.05
    idle_watts: Annotated[
        Watts | None,
        about("Power that it draws at rest. null: the value that `edge power calibrate` measured, or 1.2 without one."),
    ] = None

    def check(self, *, action: str) -> None:
        """Raise ConfigError if a value is invalid, or if the board could not wake again.

        Args:
            action: the value of `power.critical.action`.
        """
        for number, window in enumerate(self.accept):
            key = f"power.sleep.accept[{number}]"
            check_time(f"{key}.from", window.from_)
            check_time(f"{key}.to", window.to)
            if window.minutes[0] == window.minutes[1]:
                raise ConfigError(f"{key}.to", window.to, "must differ from `from`")
        if self.wake_at is not None:
            check_time("power.sleep.wake_at", self.wake_at)
        if self.when == "never" or self.wake == "light":
            return
        if action == "none":
            raise ConfigError(
                "power.sleep.when",
                self.when,
                "power.critical.action is none, so this board never goes down; expected never, or wake: light",
            )
        idle = self.idle_watts
        if idle is not None and idle <= self.off_watts:
            raise ConfigError(
                "power.sleep.off_watts", self.off_watts, f"must be below power.sleep.idle_watts ({idle:g}): no gain"
            )
