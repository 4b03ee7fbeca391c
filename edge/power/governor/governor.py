"""The governor: senses, decides, and tells; one step at a time, driven by the loop in `main`."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from edge.config.power import LedConfig, PowerConfig
from edge.core import clock
from edge.core.host import boot_id
from edge.core.invariant import given
from edge.core.layout import Layout
from edge.model import PowerState, PowerStatus, Reading
from edge.power import status
from edge.power.governor import pause
from edge.power.governor import persisted_state as kept
from edge.power.governor.button import Button, Press
from edge.power.governor.days import Days
from edge.power.governor.history import ReadingHistory, Sample
from edge.power.governor.sensing import Sensing
from edge.power.governor.shutdown import ShutdownSequence
from edge.power.governor.status_led import StatusLed
from edge.power.policy import expected as expect
from edge.power.policy import policy, rules
from edge.power.policy import sampling as pace
from edge.power.policy import wording as words

_HEARTBEAT_S = 30.0  # power.json wakes its readers: not for each sample,
_WORDS_S = 10.0  # and not for each digit in a reason


def say(line: str) -> None:
    """One line for the journal."""
    sys.stderr.write(f"edge power: {line}\n")
    sys.stderr.flush()


def _lamp(config: LedConfig) -> StatusLed | None:
    """The lamp, or None where its pin cannot be had: a board governs without it."""
    try:
        return StatusLed(config)
    except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
        say(f"no lamp on GPIO {config.pin}: {type(err).__name__}: {err}")
        return None


def _supplies(readings: tuple[Reading, ...]) -> dict[str, float | None]:
    return {reading.source: reading.value for reading in readings if reading.what == "supply"}


class Governor:
    """Everything between the sensors and `power.json`.

    `wake` is called from other threads (pin edges, the button) and must only make the loop call `turn`.
    All other methods belong to the loop's thread.
    """

    def __init__(self, config: PowerConfig, layout: Layout, *, wake: Callable[[], None]) -> None:
        self._config, self._layout, self._wake = config, layout, wake
        self._news: deque[str] = deque()
        self._rules = rules.from_config(config)
        self._sensing = Sensing(config.records, layout, self._on_news)
        self._history = ReadingHistory(layout.history, hours=config.history.hours, max_bytes=config.history.max_bytes)
        self._days = Days(layout.days, keep=config.history.keep_days)
        self._lamp = _lamp(config.led) if config.led else None
        self._button = Button(config.button, wake, say) if config.button else None
        self._state = kept.read(layout.policy, {record.label for record in config.records})
        self._descent: ShutdownSequence | None = None
        self._told: PowerStatus | None = None
        self._mute = False  # what is told cannot be written
        self._due: float | None = None

    def turn(self, now: float) -> None:
        """Do what is due: presses, news of single sources, a whole sample, a step of going down."""
        for press in self._button.presses(now) if self._button else ():
            self._pressed(press, now)
        news = {self._news.popleft() for _ in range(len(self._news))}
        if self._due is None or now >= self._due:
            self._sample(now, frozenset())
        elif news:
            self._sample(now, frozenset(news))

    def look_again(self) -> None:
        """A file that a person wrote has changed: the next turn takes a whole sample."""
        self._due = None

    def wait_s(self, now: float) -> float | None:
        """Seconds until the next turn is due; None: nothing will happen without news."""
        if self._due is None or self._news:
            return 0.0
        held_s = self._button.wait_s(now) if self._button else None
        wait_s = min(self._due - now, math.inf if held_s is None else held_s)
        return None if wait_s == math.inf else max(0.0, wait_s)

    def close(self) -> None:
        """The last word: power is unknown from here on. May be called twice."""
        self._sensing.close()
        for part in (self._button, self._lamp):
            if part is not None:
                part.close()
        self._lamp = self._button = None
        self._keep()
        try:
            self._days.flush()
        except OSError as err:
            say(f"{self._layout.days}: {err.strerror or err}")
        self._write(
            PowerState.UNKNOWN, words.Wording("governor-stopped", "the governor was stopped", "`edge power` runs")
        )

    def _sample(self, now: float, only: frozenset[str]) -> None:
        """Read, decide, tell, and set the time of the next sample."""
        config = self._config.sampling
        wall = time.time()
        trusted = wall if clock.plausible(wall) else None
        local = time.localtime(wall)
        minute = local.tm_hour * 60 + local.tm_min if trusted else None
        readings = self._sensing.read(now, only, fresh_s=config.sample_s)
        before = self._state
        self._state = policy.step(self._rules, before, readings, now, minute)
        if self._state.level != before.level:
            # Before it is told: one killed in between must not come back without the dwell it announced.
            self._keep()
        told = self._tell(now, readings)
        self._record(Sample(now, readings, round(wall, 3), minute, told), trusted)
        self._due = self._next(now)

    def _next(self, now: float) -> float:
        due = []
        if not self._sensing.quiet or pace.waits(self._state) or self._rules.windows:
            period_s = pace.period_s(self._config.sampling, self._rules, self._state)
            due.append(min(period_s, self._sensing.max_period_s))
        paused = pause.current(self._layout.pause)
        if paused is not None and paused[1] is not None:
            due.append(paused[1] + 0.01)
        if self._mute:
            due.append(self._config.sampling.sample_s)
        if self._descent is not None and (left_s := self._descent.poll(now)) is not None:
            due.append(left_s)
        return now + min(due) if due else math.inf

    def _tell(self, now: float, readings: tuple[Reading, ...]) -> PowerState:
        """Put the decision where it is to be seen, if it is news or time; returns the state as told."""
        state, why = rules.STATES[self._state.level], words.explain(self._rules, self._state)
        there = self._layout.pause.exists()
        paused = pause.current(self._layout.pause)
        if there and paused is None:
            with suppress(OSError):
                pause.clear(self._layout.pause)  # over; in a later boot, with a clock in the past, it would begin again
        if self._descent is None and state is PowerState.CRITICAL and self._config.critical.action == "poweroff":
            self._go_down(now, why.reason)
        if self._descent is not None and state is not PowerState.CRITICAL:
            if self._descent.rehearsed:
                self._descent = None
            else:
                why = words.Wording("shutdown", f"going down: {self._descent.reason}", "it has started again")
                state = PowerState.CRITICAL
        if paused is not None and state is not PowerState.CRITICAL:
            state, why = PowerState.PAUSED, words.Wording("paused-by-hand", *paused[0].words(paused[1]))
        last = self._told
        changed = last is None or (last.state, last.code) != (state, why.code)
        silent_s = now - (last.monotonic if last else 0.0)
        below = state not in {PowerState.NORMAL, PowerState.SURPLUS}
        worded = below and last is not None and last.reason != why.reason and silent_s >= _WORDS_S
        switched = last is not None and _supplies(last.readings) != _supplies(readings)
        if changed or worded or switched or self._mute or silent_s >= _HEARTBEAT_S:
            self._write(state, why, words.judged(self._state, readings), now, left_s=self._left_s(state, paused))
        if changed:
            say(f"{state}: {why.reason}; until {why.until}" if why.until else f"{state}: {why.reason}")
        if self._lamp is not None:
            self._lamp.show(state)
        return state

    def _left_s(self, state: PowerState, paused: tuple[pause.Pause, float | None] | None) -> float | None:
        """Seconds until normal power is expected, where that is a matter of time alone."""
        expected = expect.seconds(self._rules, self._state)
        if state is not PowerState.PAUSED or paused is None:
            return expected if self._descent is None else None
        if self._state.level < rules.Level.NORMAL and expected is None:
            return None
        return None if paused[1] is None else max(paused[1], expected or 0.0)

    def _write(
        self,
        state: PowerState,
        why: words.Wording,
        readings: tuple[Reading, ...] = (),
        now: float | None = None,
        *,
        left_s: float | None = None,
    ) -> None:
        wall = time.time()
        since = self._told.since if self._told is not None and self._told.state is state else wall
        quiet = self._sensing.quiet
        self._told = PowerStatus(
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
        )
        try:
            status.write(self._layout.power, self._told)
            self._mute = False
        except OSError as err:
            if self._layout.power.exists():
                raise  # what it said last no longer holds, and is believed as long as we live
            if not self._mute:
                say(f"{self._layout.power}: {err.strerror or err}; nothing starts until it can be written")
            self._mute = True

    def _record(self, sample: Sample, trusted: float | None) -> None:
        if self._sensing.quiet:
            return
        self._history.append(sample)
        try:
            self._days.add(sample.now, trusted, sample.state, sample.readings)
        except OSError as err:
            say(f"{self._layout.days}: {err.strerror or err}")

    def _go_down(self, now: float, reason: str) -> None:
        say(f"going down: {reason}")
        self._descent = ShutdownSequence(self._config.critical, self._layout, now, say, reason=reason)

    def _on_news(self, name: str) -> None:
        """Called by sources, from any thread."""
        self._news.append(name)
        self._wake()

    def _pressed(self, press: Press, now: float) -> None:
        button = given(self._config.button, "the configuration of the button")
        self._due = None
        if press is Press.LONG:
            if self._descent is None:
                self._go_down(now, "the button was held")
            return
        try:
            if pause.current(self._layout.pause) is None:
                pause.set_pause(self._layout.pause, for_s=button.pause_s, by="the button")
            else:
                pause.clear(self._layout.pause)
        except OSError as err:
            say(f"{self._layout.pause}: {err.strerror or err}")

    def _keep(self) -> None:
        try:
            kept.write(self._layout.policy, self._state)
        except OSError as err:
            say(f"{self._layout.policy}: {err.strerror or err}")
