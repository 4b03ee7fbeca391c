"""Going down cleanly: workers get their grace, then units stop, the wake alarm is set, and the power goes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import msgspec

from edge.config.power import CriticalConfig
from edge.core.host import process_alive
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus
from edge.power.inputs.command import Command, NotYet
from edge.power.inputs.reading import Unreadable
from edge.power.sleep.means import check_alarm, set_alarm
from edge.power.sleep.order import SleepOrder

_LOOK_EVERY_S = 0.5
_STOP_TIMEOUT_S = 90.0
_AGAIN_S = 60.0
#: A worker without a job stays, and is there when power comes back before the end.
_EMPTY_HANDED = (WorkerState.STOPPED, WorkerState.PAUSED, WorkerState.DISCONNECTED)


class ShutdownSequence:
    """Takes the board down. It begins when it is made, and the governor's loop calls `poll`.

    `poll` does what is due and returns when to call it again (None: never). It does not wait: its caller has a
    watchdog to feed.

    Workers see `critical` in power.json and leave by themselves; the grace is the longest that is waited
    for them. A unit that does not stop, or a board without a wake alarm, does not keep the power on.

    With a `sleep` the board goes down although it need not: it stays on where the sleep is called off before the first
    unit stops, or where the alarm that ends it is not set for certain.
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
        #: True once a sleep was given up: the board stays on, with all its units.
        self.given_up = False
        self._config, self._layout, self._log = config, layout, log
        self._now, self._deadline = now, now + config.grace_s
        self._done = False
        self._steps = self._go()

    @property
    def rehearsed(self) -> bool:
        """True once a dry run is through: the board stays, and does what power allows."""
        return self._config.dry_run and self._done

    def poll(self, now: float) -> float | None:
        """Do the next step if it is time; seconds until the next call."""
        self._now = now
        return next(self._steps, None)

    def _go(self) -> Iterator[float]:
        """The steps in turn; each yield is the seconds until the next one."""
        while (busy := list(self._busy())) and self._now < self._deadline:
            yield min(_LOOK_EVERY_S, self._deadline - self._now)
        if busy:
            self._log(f"{', '.join(busy)} did not leave within {self._config.grace_s:g} s")
        if self.sleep is not None and (why := self._hindrance(self.sleep)):
            self._log(f"does not sleep: {why}")
            self.given_up = True
            return
        while not self._done:
            for unit in self._config.stop_units:
                yield from self._run(self._config.systemctl, "stop", unit)
            self._set_alarm()
            if not self._config.dry_run:
                yield from self._run("sync")
            self._done = yield from self._run(self._config.systemctl, "poweroff")
            if not self._done:
                yield _AGAIN_S

    def _busy(self) -> Iterator[str]:
        """The workers that still have a job."""
        for path in sorted(self._layout.run.glob("worker-*.json")):
            try:
                status = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue
            if status.state not in _EMPTY_HANDED and process_alive(status.pid):
                yield f"worker {status.name}"

    def _run(self, *argv: str) -> Generator[float, None, bool]:
        """True once the program has ended well."""
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

    def _hindrance(self, sleep: SleepOrder) -> str:
        """Why the board does not sleep after all; empty: its alarm is set, and nobody objects."""
        if why := sleep.objection():
            return why
        if sleep.alarm_s is None or self._config.dry_run:
            return ""
        try:
            set_alarm(self._config.wakealarm, sleep.alarm_s)
            check_alarm(self._config.wakealarm, sleep.alarm_s)
        except (OSError, ValueError) as err:
            return f"no wake alarm ({self._config.wakealarm}: {getattr(err, 'strerror', None) or err})"
        return ""

    def _set_alarm(self) -> None:
        alarm, after_s = self._config.wakealarm, self._config.wake_after_s
        if self.sleep is not None:
            after_s = self.sleep.alarm_s
        if after_s is None:
            return
        if self._config.dry_run:
            self._log(f"dry run: {alarm} +{after_s:.0f}")
            return
        try:
            set_alarm(alarm, after_s)
        except OSError as err:
            self._log(f"no wake alarm ({alarm}: {err.strerror or err}): the board comes back when its power does")
