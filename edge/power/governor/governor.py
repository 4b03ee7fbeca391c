"""Reads the sources, decides and reports, one turn at a time. The loop in `main` calls it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from edge.config.power import LedConfig, PowerConfig
from edge.core import clock, durable
from edge.core.errors import not_none
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.core.text import when
from edge.model import Plan, PowerState, PowerStatus, Reading
from edge.model.pairing import ButtonHeld
from edge.power import pause_order, status
from edge.power.energy import bodies, draw
from edge.power.governor import pause, persisted_state
from edge.power.governor.button import Button, Press
from edge.power.governor.days import Days
from edge.power.governor.history import ReadingHistory, Sample
from edge.power.governor.local_time import LocalTime
from edge.power.governor.sensing import Sensing
from edge.power.governor.shutdown import ShutdownSequence
from edge.power.governor.status_led import StatusLed
from edge.power.policy import expected as expect
from edge.power.policy import policy, rules, sampling, wording
from edge.power.policy.floor import with_floor
from edge.power.sleep.order import SleepOrder
from edge.power.sources import configured

if TYPE_CHECKING:
    from edge.power.governor.planning import Planning

# Each write of power.json wakes all its readers, so writes are rare.
_HEARTBEAT_S = 30.0  # longest time between two writes
_REASON_S = 10.0  # shortest time between two writes if only a number in the reason changed


def log(line: str) -> None:
    """Write one line to the journal."""
    sys.stderr.write(f"edge power: {line}\n")
    sys.stderr.flush()


def _led(config: LedConfig) -> StatusLed | None:
    """Return the LED, or None if its pin cannot be opened. The governor works without an LED."""
    try:
        return StatusLed(config)
    except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
        log(f"no LED on GPIO {config.pin}: {type(err).__name__}: {err}")
        return None


def _going_down(shutdown: ShutdownSequence) -> wording.Wording:
    if shutdown.sleep is None:
        return wording.Wording("shutdown", f"going down: {shutdown.reason}", "the board has started again")
    at = shutdown.sleep.wake_at
    until = f"the board wakes at {when(at)}" if at else "the board wakes by itself"
    return wording.Wording("sleep", shutdown.reason, until)


def _published(plan: Plan | None) -> tuple[object, ...]:
    """Return the parts of a plan whose change is worth a write of `power.json`."""
    return () if plan is None else (plan.action, plan.wake_at, plan.floor_percent is None)


def _supplies(readings: tuple[Reading, ...]) -> dict[str, float | None]:
    return {reading.source: reading.value for reading in readings if reading.what == "supply"}


class Governor:
    """Reads the sources, decides what may run, and writes `power.json`.

    The loop in `main` calls it, on one thread. `wake` is called from other threads (edges of a pin, the button) and
    must only make that loop call `turn`.
    """

    def __init__(
        self, config: PowerConfig, layout: Layout, *, wake: Callable[[], None], planning: Planning | None = None
    ) -> None:
        """Open the sources.

        Args:
            config: the section `power` of `edge.yaml`.
            layout: the folders of the board.
            wake: makes the loop call `turn`; may be called from any thread.
            planning: plans ahead, or None if the board uses the fixed thresholds only.
        """
        self._config, self._layout, self._wake = config, layout, wake
        self._pending: deque[str] = deque()
        self._fixed = self._rules = rules.from_config(config)
        records = configured(config)
        self._sensing = Sensing(records, layout, self._on_notice)
        self._history = ReadingHistory(layout.history, hours=config.history.hours, max_bytes=config.history.max_bytes)
        self._local = LocalTime()
        self._days = Days(layout.days, keep=config.history.keep_days, shown=layout.today)
        self._planning = planning
        self._plan: Plan | None = None
        self._led = _led(config.led) if config.led else None
        self._button = Button(config.button, wake, log) if config.button else None
        self._state = persisted_state.read(layout.policy, {record.label for record in records})
        self._shutdown: ShutdownSequence | None = None
        self._reported: PowerStatus | None = None
        self._unwritten = False  # power.json cannot be written
        self._due: float | None = None
        self._reported_pause: pause.Pause | None = None
        self._ordered_at = time.monotonic()  # time of the last order; older ones were for an earlier governor

    @property
    def reported(self) -> PowerStatus:
        """The last report. Raises BrokenInvariant before the first `turn`."""
        return not_none(self._reported, "a report")

    def turn(self, now: float) -> None:
        """Do what is due: handle button presses, then read all sources or those that sent a notice, decide and report.

        Args:
            now: seconds of CLOCK_MONOTONIC.
        """
        for press in self._button.presses(now) if self._button else ():
            self._pressed(press, now)
        noticed = {self._pending.popleft() for _ in range(len(self._pending))}
        if self._due is None or now >= self._due:
            self._sample(now, frozenset())
        elif noticed:
            self._sample(now, frozenset(noticed))

    def sleep(self, now: float, order: SleepOrder) -> None:
        """Shut down as at critical power, although there is power left. The board wakes as `order` says."""
        if self._shutdown is not None:
            return
        log(order.reason)
        self._shutdown = ShutdownSequence(
            self._config.critical, self._layout, now, log, reason=order.reason, sleep=order
        )
        self.look_again()

    def look_again(self) -> None:
        """Make the next turn read all sources. Call it when a file that a person wrote has changed."""
        self._due = None

    def backlog_changed(self) -> None:
        """Note that the open jobs changed. A new plan is due if there were none before, or if there are none now."""
        if self._planning is not None and self._planning.backlog_changed():
            self._due = None

    def wait_s(self, now: float) -> float | None:
        """Return the seconds until the next turn is due, or None if nothing is due until something happens."""
        if self._due is None or self._pending:
            return 0.0
        held_s = self._button.wait_s(now) if self._button else None
        wait_s = min(self._due - now, math.inf if held_s is None else held_s)
        return None if wait_s == math.inf else max(0.0, wait_s)

    def close(self) -> None:
        """Close the sources, save the state, and report that power is unknown from now on. May be called twice."""
        self._sensing.close()
        if self._planning is not None:
            self._planning.close()
        for part in (self._button, self._led):
            if part is not None:
                part.close()
        self._led = self._button = None
        self._persist()
        try:
            self._days.flush()
            if self._planning is not None:
                self._planning.flush()
        except OSError as err:
            log(f"{err.filename or self._layout.days}: {err.strerror or err}")
        self._write(
            PowerState.UNKNOWN, wording.Wording("governor-stopped", "the governor was stopped", "`edge power` runs")
        )

    def _sample(self, now: float, only: frozenset[str]) -> None:
        """Read the sources, decide, report, and set the time of the next sample.

        Args:
            now: seconds of CLOCK_MONOTONIC.
            only: names of the sources that sent a notice and are read alone; empty for all sources.
        """
        self._carry_out()
        config = self._config.sampling
        wall = time.time()
        trusted = wall if clock.plausible(wall) else None
        self._local.follow()
        minute = int(self._local.minute(wall)) if trusted else None
        readings = self._sensing.read(now, only, fresh_s=config.sample_s)
        before = self._state
        if self._planning is not None:
            self._follow(self._planning.turn(readings, working=before.level >= rules.Level.NORMAL))
        self._state = policy.step(self._rules, before, readings, now, minute)
        if self._state.level != before.level:
            # Save before the report: a governor that is killed in between must return with the dwell that it reports.
            self._persist()
        reported = self._report(now, readings)
        self._record(Sample(now, readings, round(wall, 3), minute, reported), trusted)
        self._due = self._next(now)

    def _follow(self, plan: Plan | None) -> None:
        """Decide by `plan` from now on, or by the fixed thresholds if it is None."""
        floor = None if plan is None else plan.floor_percent
        if floor != (None if self._plan is None else self._plan.floor_percent):
            self._rules = with_floor(self._fixed, self._config.thresholds, floor)
        if plan is not None and (self._plan is None or plan.action is not self._plan.action):
            log(f"plan: {plan.action}: {plan.reason}")
        self._plan = plan

    def _next(self, now: float) -> float:
        due = []
        if not self._sensing.quiet or sampling.waits(self._state) or self._rules.windows:
            period_s = sampling.period_s(self._config.sampling, self._rules, self._state)
            due.append(min(period_s, self._sensing.max_period_s))
        paused = pause.current(self._layout.pause)
        if paused is not None and paused[1] is not None:
            due.append(paused[1] + 0.01)
        if self._unwritten:
            due.append(self._config.sampling.sample_s)
        if self._shutdown is not None and (left_s := self._shutdown.poll(now)) is not None:
            due.append(left_s)
        if self._shutdown is not None and self._shutdown.given_up:
            due.append(0.0)
        return now + min(due) if due else math.inf

    def _report(self, now: float, readings: tuple[Reading, ...]) -> PowerState:
        """Write the decision if it changed or a write is due, and show it on the LED.

        Returns the reported state: a shutdown or a pause by hand overrides the policy.
        """
        state, why = rules.STATES[self._state.level], wording.explain(self._rules, self._state)
        there = self._layout.pause.exists()
        paused = pause.current(self._layout.pause)
        if there and paused is None:
            with suppress(OSError):
                # The pause is over. If its file stayed, a later boot whose clock is in the past would pause again.
                pause.clear(self._layout.pause)
        if self._shutdown is not None and self._shutdown.given_up:
            self._shutdown = None
        if self._shutdown is None and state is PowerState.CRITICAL and self._config.critical.action == "poweroff":
            self._go_down(now, why.reason)
        if self._shutdown is not None and state is not PowerState.CRITICAL:
            if self._shutdown.rehearsed:
                self._shutdown = None
            else:
                why = _going_down(self._shutdown)
                state = PowerState.CRITICAL
        if paused is not None and state is not PowerState.CRITICAL:
            state, why = PowerState.PAUSED, wording.Wording("paused-by-hand", *paused[0].words(paused[1]))
        last = self._reported
        by_hand = paused[0] if paused is not None else None
        changed = last is None or (last.state, last.code) != (state, why.code) or by_hand != self._reported_pause
        self._reported_pause = by_hand
        silent_s = now - (last.monotonic if last else 0.0)
        below = state not in {PowerState.NORMAL, PowerState.SURPLUS}
        worded = below and last is not None and last.reason != why.reason and silent_s >= _REASON_S
        switched = last is not None and _supplies(last.readings) != _supplies(readings)
        planned = last is not None and _published(last.plan) != _published(self._plan)
        if changed or worded or switched or planned or self._unwritten or silent_s >= _HEARTBEAT_S:
            self._write(state, why, wording.judged(self._state, readings), now, left_s=self._left_s(state, paused))
        if changed:
            log(f"{state}: {why.reason}; until {why.until}" if why.until else f"{state}: {why.reason}")
        if self._led is not None:
            self._led.show(state)
        return state

    def _left_s(self, state: PowerState, paused: tuple[pause.Pause, float | None] | None) -> float | None:
        """Return the seconds until normal power is expected, or None if that does not depend on time alone."""
        wall = time.time()
        if self._shutdown is not None and self._shutdown.sleep is not None:
            wake_at = self._shutdown.sleep.wake_at
            return None if wake_at is None else wake_at - wall
        expected = expect.seconds(self._rules, self._state, lambda later_s: self._local.minute(wall + later_s))
        if state is not PowerState.PAUSED or paused is None:
            return expected if self._shutdown is None else None
        if self._state.level < rules.Level.NORMAL and expected is None:
            return None
        return None if paused[1] is None else max(paused[1], expected or 0.0)

    def _write(
        self,
        state: PowerState,
        why: wording.Wording,
        readings: tuple[Reading, ...] = (),
        now: float | None = None,
        *,
        left_s: float | None = None,
    ) -> None:
        wall = time.time()
        since = self._reported.since if self._reported is not None and self._reported.state is state else wall
        quiet = self._sensing.quiet
        self._reported = PowerStatus(
            state,
            why.code,
            why.reason,
            until=why.until,
            since=since,
            at=wall,
            boot_id=boot_id(),
            pid=os.getpid(),
            monotonic=time.monotonic() if now is None else now,
            valid_s=0.0 if quiet else 3 * max(_HEARTBEAT_S, self._config.sampling.slow_s),
            readings=readings,
            resumes_at=None if left_s is None else round(wall + left_s, 1),
            plan=self._plan if now is not None else None,
            mix=draw.mix(readings),
        )
        try:
            status.write(self._layout.power, self._reported)
            self._unwritten = False
        except OSError as err:
            if self._layout.power.exists():
                # The file still has the last report, which is no longer true. Readers believe it while this process
                # lives, so the process must end.
                raise
            if not self._unwritten:
                log(f"{self._layout.power}: {err.strerror or err}; nothing starts until it can be written")
            self._unwritten = True

    def _record(self, sample: Sample, trusted: float | None) -> None:
        if self._sensing.quiet:
            return
        self._history.append(sample)
        try:
            daily = [each for each in sample.readings if self._rules.quantity(each.source, each.what).daily]
            self._days.add(sample.now, trusted, sample.state, daily)
            self._days.add_energy(
                sample.now,
                trusted,
                watts=draw.board_watts(sample.readings),
                mix=draw.mix(sample.readings),
                busy=bodies.alone(self._layout) > 0,
            )
        except OSError as err:
            log(f"{self._layout.days}: {err.strerror or err}")

    def _go_down(self, now: float, reason: str) -> None:
        log(f"going down: {reason}")
        self._shutdown = ShutdownSequence(self._config.critical, self._layout, now, log, reason=reason)

    def _on_notice(self, name: str) -> None:
        """Note that the source `name` must be read at once. Sources call it, from any thread."""
        self._pending.append(name)
        self._wake()

    def _carry_out(self) -> None:
        """Carry out an order to pause or resume that the gateway wrote for a person, once."""
        order = pause_order.take(self._layout.pause_order, after=self._ordered_at)
        if order is None:
            return
        self._ordered_at = order.monotonic
        try:
            if order.resume:
                pause.clear(self._layout.pause)
            else:
                pause.set_pause(self._layout.pause, for_s=order.for_s, by=order.by)
        except OSError as err:
            log(f"{self._layout.pause}: {err.strerror or err}")

    def _pressed(self, press: Press, now: float) -> None:
        self._due = None
        if press is Press.LONG and self._config.button is not None and self._config.button.long_press == "pair":
            self._report_held(now)
            return
        if press is Press.LONG:
            if self._shutdown is None:
                self._go_down(now, "the button was held")
            return
        try:
            if pause.current(self._layout.pause) is None:
                button = not_none(self._config.button, "the configuration of the button")
                pause.set_pause(self._layout.pause, for_s=button.pause_s, by="the button")
            else:
                pause.clear(self._layout.pause)
        except OSError as err:
            log(f"{self._layout.pause}: {err.strerror or err}")

    def _report_held(self, now: float) -> None:
        """Report to the gateway that the button was held, so that the gateway can approve the only pairing request."""
        path = self._layout.button_held
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            durable.replace_volatile(path, msgspec.json.encode(ButtonHeld(boot_id(), now)))
        except OSError as err:
            log(f"{path}: {err.strerror or err}")

    def _persist(self) -> None:
        try:
            persisted_state.write(self._layout.policy, self._state)
        except OSError as err:
            log(f"{self._layout.policy}: {err.strerror or err}")
