"""Lets the board sleep: asks the gateway, and returns an order; the governor then shuts down as for critical power.

Belongs to the governor's loop, which calls `turn`. Where `power.sleep.when` is `never` there is none.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from edge.config import Config
from edge.config.times import minute_of
from edge.core import clock, durable
from edge.core.host import boot_id, process_alive
from edge.core.text import duration, when
from edge.model import ALLOWED, Action, LastSleep, Plan, Power, PowerStatus, SleepAnswer, SleepAsk
from edge.power.sleep import busy, costs, means, moments
from edge.power.sleep.decide import STATES, Decision, Facts, Wanted, decide, least_s
from edge.power.sleep.light import LightSleep
from edge.power.sleep.order import SleepOrder

#: Longest time between two decisions while power allows a sleep.
_LOOK_S = 60.0
#: A gateway answers within this time, or the board stays awake.
_ANSWER_S = 15.0
#: Seconds until the next question if the gateway's refusal gave no time.
_REFUSED_S = 120.0
#: After a sleep that was not carried out.
_AGAIN_S = 600.0
#: While a boot is timed.
_BOOT_LOOK_S = 5.0
_LONGEST_BOOT_S = 600.0


class Sleeper:
    """Decides by what the governor reported, and asks the gateway, which knows the jobs and who uses the board.

    `now_s` is monotonic, in seconds since the boot; times of the wall clock are seconds since 1970.
    """

    def __init__(
        self,
        config: Config,
        log: Callable[[str], None],
        *,
        minute_of: Callable[[float], float],
    ) -> None:
        """Make the folders, and take back what an earlier governor left. Raises OSError.

        Args:
            config: of the board.
            log: writes one line.
            minute_of: minutes of the local day at a time of the wall clock.
        """
        self._config, self._sleep, self._layout, self._log = config, config.power.sleep, config.layout, log
        self._minute_of = minute_of
        self._asks_gateway = config.node.head_url is None
        for folder in (self._layout.sleep_ask.parent, self._layout.sleep_answer.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._layout.sleep_ask.unlink(missing_ok=True)
        self._costs = costs.of(config)
        self._light = LightSleep(self._layout, log)
        self._light.off()
        self._boot_s: float | None = None  # learned mean, with this boot
        self._ask: SleepAsk | None = None
        self._asked_s = 0.0
        self._due_s: float | None = None  # of a job, as the gateway said it
        self._look_s = 0.0  # monotonic time of the next look; 0: at once; inf: when power changes
        self._idle_since: float | None = None  # monotonic; of a node, whose workers have no job since then
        self._ordered = False
        self._reason = ""

    @property
    def why(self) -> str:
        """Why the board is awake; empty before the first look."""
        return self._reason

    def changed(self) -> None:
        """The gateway answered, or took its answer back: look at once."""
        self._look_s = 0.0

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next turn is due, or None if nothing is due until power changes."""
        return None if self._look_s == math.inf else max(0.0, self._look_s - now_s)

    def turn(self, now_s: float, power: PowerStatus) -> SleepOrder | None:
        """Look whether the board is to sleep; returns an order when everybody agrees."""
        if self._ordered:
            if power.code != "sleep":  # it was given up, or only rehearsed
                self._ordered = False
                self._drop()
                self._look_s = now_s + _AGAIN_S
            return None
        self._learn(now_s)
        if power.state not in STATES[self._sleep.when]:
            if self._ask is not None or self._light.on:
                self._stay(f"power is {power.state}")
            timing = self._boot_s is None and now_s < _LONGEST_BOOT_S
            self._look_s = now_s + _BOOT_LOOK_S if timing else math.inf
            return None
        if now_s < self._look_s != math.inf:
            return None
        decision = decide(self._sleep, self._costs, self._facts(now_s, power))
        self._look_s = now_s + max(1.0, min(_LOOK_S, decision.look_s or _LOOK_S))
        if not decision.sleep:
            self._stay(decision.why)
            return None
        return self._agreed(now_s, power, decision)

    # --- inside -----------------------------------------------------------------------------------------------

    def _facts(self, now_s: float, power: PowerStatus) -> Facts:
        wall = time.time()
        trusted = clock.trusted_now() is not None
        windows, fixed = self._sleep.accept, self._sleep.wake_at
        planned = _plan_of(power, wall)
        wanted = Wanted(due_s=self._due_s)
        inside = bool(windows) and not trusted  # it may be expected now
        if trusted:

            def minute_at(later_s: float) -> float:
                return self._minute_of(wall + later_s)

            fixed_s = None
            if fixed is not None:
                fixed_s = moments.until(minute_at, minute_of(fixed))
            wanted = Wanted(
                window_s=moments.next_window(windows, minute_at),
                fixed_s=fixed_s,
                due_s=self._due_s,
                power_s=None if power.resumes_at is None else power.resumes_at - wall,
                plan_s=None if planned is None or planned.wake_at is None else planned.wake_at - wall,
            )
            inside = moments.inside(windows, minute_at(0.0))
        return Facts(
            power.state,
            awake_s=now_s,  # the monotonic clock begins at the boot
            busy=busy.who(self._layout) or self._rested(now_s),
            inside=inside,
            # The plan assumes that a sleep costs a boot. Light sleep costs none, so an idle plan allows it.
            plan=None if planned is None or (planned.action is Action.IDLE and self._lightly) else planned.action,
            wanted=wanted,
        )

    @property
    def _lightly(self) -> bool:
        """True where the board stays on while it sleeps."""
        return self._sleep.wake == "light" or bool(means.obstacle(self._config.power))

    def _rested(self, now_s: float) -> str:
        """A node has no gateway to ask; it is not idle before its workers had nothing to do for `quiet_s`."""
        if self._asks_gateway:
            return ""
        if busy.who(self._layout):
            self._idle_since = None
            return ""
        self._idle_since = now_s if self._idle_since is None else self._idle_since
        if now_s - self._idle_since >= self._sleep.quiet_s:
            return ""
        return f"its workers have been idle for less than {duration(self._sleep.quiet_s)} (power.sleep.quiet_s)"

    def _agreed(self, now_s: float, power: PowerStatus, decision: Decision) -> SleepOrder | None:
        """Ask the gateway, or go once it has agreed."""
        obstacle, light = means.obstacle(self._config.power), self._lightly
        if self._asks_gateway:
            if self._ask is None or self._ask.light is not light:
                self._question(now_s, power, decision, light=light)
                return None
            answer = self._answer()
            if answer is None:
                if now_s - self._asked_s < _ANSWER_S:
                    self._look_s = now_s + _ANSWER_S
                else:
                    self._stay("the gateway does not answer")
                return None
            self._due_s = answer.due_s
            if not answer.agreed:
                self._stay(answer.why)
                self._look_s = now_s + (answer.again_s or _REFUSED_S)
                return None
            if answer.due_s is not None:
                decision = decide(self._sleep, self._costs, self._facts(now_s, power))
                if not decision.sleep:
                    self._stay(decision.why)
                    return None
        if light:
            self._light.start(f"{decision.why}; it cannot go down: {obstacle}" if obstacle else decision.why)
            self._reason = "it sleeps lightly"
            self._look_s = now_s + min(_LOOK_S, decision.ready_s)
            return None
        return self._order(decision)

    def _order(self, decision: Decision) -> SleepOrder:
        wall = time.time()
        wake_at = wall + decision.ready_s if clock.plausible(wall) else None
        self._remember(wall, wall + decision.alarm_s)
        self._ordered = True
        self._look_s = math.inf
        at = "" if wake_at is None else f" until {when(wake_at)[11:16]}"
        alarm_s = None if self._sleep.ups_returns else decision.alarm_s
        with suppress(OSError):
            durable.replace_volatile(self._layout.sleep_awake, f"{wake_at or 0:.0f}\n".encode())
        return SleepOrder(f"goes to sleep{at}: {decision.why}", alarm_s, wake_at, self._objection)

    def _question(self, now_s: float, power: PowerStatus, decision: Decision, *, light: bool) -> None:
        classes: tuple[Power, ...] = ALLOWED[power.state]
        ask = SleepAsk(
            os.urandom(4).hex(),
            boot_id(),
            os.getpid(),
            classes,
            least_s(self._costs) or 0.0,
            round(time.time() + decision.ready_s, 1),
            light=light,
        )
        try:
            durable.replace_volatile(self._layout.sleep_ask, msgspec.json.encode(ask))
        except OSError as err:
            self._stay(f"{self._layout.sleep_ask}: {err.strerror or err}")
            return
        self._ask, self._asked_s, self._look_s = ask, now_s, now_s + _ANSWER_S

    def _answer(self) -> SleepAnswer | None:
        """The answer to the last question; None while there is none that counts."""
        try:
            found = msgspec.json.decode(self._layout.sleep_answer.read_bytes(), type=SleepAnswer)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if self._ask is None or found.id != self._ask.id or found.boot_id != boot_id():
            return None
        return found if process_alive(found.pid) else None

    def _objection(self) -> str:
        """Why the board is not to sleep any more."""
        if why := busy.who(self._layout):
            return why
        if not self._asks_gateway:
            return ""
        answer = self._answer()
        if answer is None:
            return "the gateway is gone"
        return "" if answer.agreed else answer.why

    def _stay(self, why: str) -> None:
        """Stay awake, and say why where it is news."""
        self._light.off()
        if why != self._reason:
            self._log(f"stays awake: {why}")
        self._reason = why
        self._drop()

    def _drop(self) -> None:
        """Take the question back: the gateway takes jobs again."""
        self._ask, self._due_s = None, None
        for path in (self._layout.sleep_ask, self._layout.sleep_awake):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _learn(self, now_s: float) -> None:
        """Learn how long a boot takes: until a worker was first seen, as the monotonic clock begins with the boot."""
        if self._boot_s is None and now_s < _LONGEST_BOOT_S and busy.connected(self._layout):
            last = costs.read(self._layout.last_sleep)
            self._boot_s = costs.learned(None if last is None else last.boot_s, now_s)
            boot_s = self._sleep.boot_s or self._boot_s
            self._costs = msgspec.structs.replace(self._costs, boot_s=boot_s)

    def _remember(self, wall: float, wake_at: float) -> None:
        """Write down that the board goes: one small file for each sleep."""
        last = costs.read(self._layout.last_sleep)
        boot_s = self._boot_s or (None if last is None else last.boot_s)
        try:
            costs.write(self._layout.last_sleep, LastSleep(round(wall, 1), round(wake_at, 1), boot_id(), boot_s))
        except OSError as err:  # it learns nothing from this one
            self._log(f"{self._layout.last_sleep}: {err.strerror or err}")


def _plan_of(power: PowerStatus, wall: float) -> Plan | None:
    """The plan that counts now; None: there is none, or it leaves the fixed thresholds in force."""
    plan = power.plan
    return plan if plan is not None and plan.floor_percent is not None and wall < plan.until else None
