"""Shuts the board down cleanly: waits for the workers, stops the units, sets the wake alarm, and powers off."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from edge.config.power import CriticalConfig
from edge.core import stored
from edge.core.host import process_alive
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus
from edge.power.inputs.command import Command, NotYet
from edge.power.inputs.reading import Unreadable
from edge.power.sleep.decide import SOONEST_ALARM_S
from edge.power.sleep.means import check_alarm, set_alarm
from edge.power.sleep.order import SleepOrder

_LOOK_EVERY_S = 0.5
_STOP_TIMEOUT_S = 90.0
_AGAIN_S = 60.0
_NEAREST_S = 30.0  # a shutdown whose units have stopped needs less time than this until the power is off
#: States of a worker without a job. The shutdown does not wait for such a worker to end. So the worker is still there
#: if power returns before the units are stopped.
_WITHOUT_JOB = (WorkerState.STOPPED, WorkerState.PAUSED, WorkerState.DISCONNECTED)


class ShutdownSequence:
    """Shuts the board down. The shutdown begins with the constructor. Belongs to the governor's thread.

    The governor's loop calls `poll`, which does the next step if it is due and returns when to call it again. `poll`
    never waits, because its caller must feed a watchdog.

    Workers see `critical` in power.json and stop their jobs by themselves. The shutdown waits for them for the grace
    time at most. It goes on if a unit does not stop or if the board has no wake alarm.

    With a `sleep` the shutdown is not urgent. The board stays on if the sleep is cancelled before the first unit stops,
    or if it is not certain that the alarm which ends the sleep is set. The alarm is checked again once the units have
    stopped. If it is lost then and cannot be set, the units are started again.
    """

    def __init__(
        self,
        config: CriticalConfig,
        layout: Layout,
        now: float,
        log: Callable[[str], None],
        *,
        reason: str,
        sleep: SleepOrder | None = None,
    ) -> None:
        self.reason, self.sleep = reason, sleep
        #: True once the sleep was cancelled or found impossible: the board stays on, with all its units.
        self.given_up = False
        self._config, self._layout, self._log = config, layout, log
        self._began = self._now = now
        self._deadline = now + config.grace_s
        self._done = False
        self._alarm_set = False  # True once the alarm that ends the sleep was set and checked
        self._steps = self._go()

    @property
    def rehearsed(self) -> bool:
        """True once a dry run has gone through all steps: the board stays on and works as far as power allows."""
        return self._config.dry_run and self._done

    def poll(self, now: float) -> float | None:
        """Do the next step if it is due. Returns the seconds until the next call, or None if nothing is left to do."""
        self._now = now
        return next(self._steps, None)

    def _go(self) -> Iterator[float]:
        """Do the steps in turn; each yielded value is the number of seconds until the next step."""
        while (busy := list(self._busy())) and self._now < self._deadline:
            yield min(_LOOK_EVERY_S, self._deadline - self._now)
        if busy:
            self._log(f"jobs still run after {self._config.grace_s:g} s: {', '.join(busy)}")
        if self.sleep is not None and (why := self.sleep.objection() or self._alarm_obstacle(self.sleep)):
            yield from self._give_up(why)
            return
        while not self._done:
            for unit in self._config.stop_units:
                yield from self._run(self._config.systemctl, "stop", unit)
            if self.sleep is None:
                self._set_alarm(self._config.wake_after_s)
            elif why := self._alarm_obstacle(self.sleep):
                yield from self._give_up(why, start=self._config.stop_units)
                return
            if not self._config.dry_run:
                yield from self._run("sync")
            self._done = yield from self._run(self._config.systemctl, "poweroff")
            if not self._done:
                yield _AGAIN_S

    def _give_up(self, why: str, *, start: tuple[str, ...] = ()) -> Generator[float, None, None]:
        """Cancel the sleep. Start the units that were stopped for it, the last one first."""
        self._log(f"does not sleep: {why}")
        for unit in reversed(start):
            yield from self._run(self._config.systemctl, "start", unit)
        self.given_up = True

    def _busy(self) -> Iterator[str]:
        """Yield the workers that still have a job."""
        for path in sorted(self._layout.run.glob("worker-*.json")):
            try:
                status = stored.read(path, WorkerStatus)
            except (OSError, stored.BadContent):
                continue
            if status.state not in _WITHOUT_JOB and process_alive(status.pid):
                yield f"worker {status.name}"

    def _run(self, *argv: str) -> Generator[float, None, bool]:
        """Run a program to its end. Each yield is a time to wait; the generator returns True if it succeeded."""
        words = " ".join(argv)
        if self._config.dry_run:
            self._log(f"dry run: {words}")
            return True
        command = Command(argv, timeout_s=_STOP_TIMEOUT_S)
        while True:
            try:
                command.ask(self._now)
            except NotYet:
                yield _LOOK_EVERY_S
            except Unreadable as err:
                self._log(f"{words}: {str(err).removeprefix(f'{argv[0]}: ')}")
                return False
            else:
                return True

    def _alarm_obstacle(self, sleep: SleepOrder) -> str:
        """Return why it is not certain that the alarm ends the sleep, or an empty string if it is.

        An alarm that is set and in time stays as it is. The time that the shutdown took so far is a part of the sleep.
        """
        if sleep.alarm_s is None:
            return ""
        left_s = self._began + sleep.alarm_s - self._now
        # An alarm that goes off before the power is off wakes nothing, so it must not be too near.
        late, left_s = left_s < _NEAREST_S, max(left_s, SOONEST_ALARM_S)
        alarm = self._config.wakealarm
        if self._config.dry_run:
            if self._alarm_set:
                self._log(f"dry run: {alarm} +{left_s:.0f}")
            self._alarm_set = True
            return ""
        try:
            if late or not self._alarm_set or not _stands(alarm, left_s):
                set_alarm(alarm, left_s)
                check_alarm(alarm, left_s)
        except (OSError, ValueError) as err:
            return f"no wake alarm ({alarm}: {getattr(err, 'strerror', None) or err})"
        self._alarm_set = True
        return ""

    def _set_alarm(self, after_s: float | None) -> None:
        """Set the alarm of a board at critical power. It goes down with or without an alarm."""
        alarm = self._config.wakealarm
        if after_s is None:
            return
        if self._config.dry_run:
            self._log(f"dry run: {alarm} +{after_s:.0f}")
            return
        try:
            set_alarm(alarm, after_s)
        except OSError as err:
            self._log(f"no wake alarm ({alarm}: {err.strerror or err}): the board comes back when its power does")


def _stands(alarm: Path, after_s: float) -> bool:
    """Return True if the alarm of the clock is set to `after_s` seconds from now."""
    try:
        check_alarm(alarm, after_s)
    except (OSError, ValueError):
        return False
    return True
