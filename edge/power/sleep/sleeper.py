"""Lets the board sleep: gets the agreement of the gateway, and returns an order to shut down.

The governor then shuts the board down in the same way as at critical power.
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
from edge.core import clock, durable, stored
from edge.core.host import boot_id, process_alive
from edge.core.text import duration, when
from edge.model import ALLOWED, Action, LastSleep, Plan, Power, PowerStatus, SleepAnswer, SleepAsk
from edge.power.sleep import costs, means, moments, worker_activity
from edge.power.sleep.decide import STATES, Decision, Facts, Wanted, decide, least_s
from edge.power.sleep.light import LightSleep
from edge.power.sleep.order import SleepOrder

#: Longest time between two decisions while power allows a sleep.
_LOOK_S = 60.0
#: Longest wait for the answer of the gateway. Without an answer the board stays awake.
_ANSWER_S = 15.0
#: Seconds until the next question if the refusal of the gateway names no time.
_REFUSED_S = 120.0
#: Seconds until the next decision after a sleep that was not carried out.
_AGAIN_S = 600.0
#: Seconds between two looks while the duration of the boot is measured.
_BOOT_LOOK_S = 5.0
#: If no worker is connected after this time, the boot is not measured.
_LONGEST_BOOT_S = 600.0


class Sleeper:
    """Decides from the report of the governor, and asks the gateway, which knows the jobs and the users of the board.

    Belongs to the thread of the governor's loop, which calls `turn`. If `power.sleep.when` is `never`, the governor has
    no sleeper. `now_s` is monotonic time in seconds since the boot; times of the wall clock are seconds since 1970.
    """

    def __init__(
        self,
        config: Config,
        log: Callable[[str], None],
        *,
        minute_of: Callable[[float], float],
    ) -> None:
        """Make the folders, remove the question of an earlier governor, and end its light sleep. Raises OSError.

        Args:
            config: the configuration of the board.
            log: writes one line.
            minute_of: returns the minute of the local day for a time of the wall clock.
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
        self._boot_s: float | None = None  # mean duration of a boot, this one included; None until it is measured
        self._ask: SleepAsk | None = None
        self._asked_s = 0.0
        self._due_s: float | None = None  # seconds until a job is due, from the answer of the gateway
        self._look_s = 0.0  # monotonic time of the next decision; 0: at once; inf: when power changes
        self._idle_since: float | None = None  # on a node: monotonic time since which no worker has had a job
        self._ordered = False
        self._reason = ""

    @property
    def why(self) -> str:
        """The reason why the board is awake, or "" before the first decision."""
        return self._reason

    def changed(self) -> None:
        """Decide at the next turn. The governor calls it when the gateway has changed or removed its answer."""
        self._look_s = 0.0

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next turn is due, or None if none is due until power changes."""
        return None if self._look_s == math.inf else max(0.0, self._look_s - now_s)

    def turn(self, now_s: float, power: PowerStatus) -> SleepOrder | None:
        """Decide whether the board sleeps. Return an order once the gateway agrees, else None.

        Args:
            now_s: monotonic seconds since the boot.
            power: the latest report of the governor.
        """
        if self._ordered:
            if power.code != "sleep":  # the sleep was cancelled, or `power.critical.dry_run` is set
                self._ordered = False
                self._withdraw_question()
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
        return self._request(now_s, power, decision)

    # --- internal ---------------------------------------------------------------------------------------------

    def _facts(self, now_s: float, power: PowerStatus) -> Facts:
        wall = time.time()
        trusted = clock.trusted_now() is not None
        windows, fixed = self._sleep.accept, self._sleep.wake_at
        planned = _plan_of(power, wall)
        wanted = Wanted(due_s=self._due_s)
        inside = bool(windows) and not trusted  # without a trusted clock, now may be in a window
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
            busy=worker_activity.running_job(self._layout) or self._node_busy(now_s),
            inside=inside,
            # The plan assumes that a sleep costs a boot. Light sleep costs none, so an idle plan allows it.
            plan=None if planned is None or (planned.action is Action.IDLE and self._light_only) else planned.action,
            wanted=wanted,
        )

    @property
    def _light_only(self) -> bool:
        """True if the board stays on while it sleeps."""
        return self._sleep.wake == "light" or bool(means.obstacle(self._config.power))

    def _node_busy(self, now_s: float) -> str:
        """Return why a node counts as busy, or "" if it is idle or the board is not a node.

        A node has no gateway to ask. It counts as idle once its workers have had no job for `quiet_s`.
        """
        if self._asks_gateway:
            return ""
        if worker_activity.running_job(self._layout):
            self._idle_since = None
            return ""
        self._idle_since = now_s if self._idle_since is None else self._idle_since
        if now_s - self._idle_since >= self._sleep.quiet_s:
            return ""
        return f"its workers have been idle for less than {duration(self._sleep.quiet_s)} (power.sleep.quiet_s)"

    def _request(self, now_s: float, power: PowerStatus, decision: Decision) -> SleepOrder | None:
        """Ask the gateway. Once it has agreed, start light sleep or return the order to shut down."""
        obstacle, light = means.obstacle(self._config.power), self._light_only
        if self._asks_gateway:
            if self._ask is None or self._ask.light is not light:
                self._send_question(now_s, power, decision, light=light)
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

    def _send_question(self, now_s: float, power: PowerStatus, decision: Decision, *, light: bool) -> None:
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
        """Return the answer of the present gateway to the last question, or None if there is none."""
        try:
            found = stored.read(self._layout.sleep_answer, SleepAnswer)
        except (OSError, stored.BadContent):
            return None
        if self._ask is None or found.id != self._ask.id or found.boot_id != boot_id():
            return None
        return found if process_alive(found.pid) else None

    def _objection(self) -> str:
        """Return why the board must stay awake after all, or "" if it may sleep."""
        if why := worker_activity.running_job(self._layout):
            return why
        if not self._asks_gateway:
            return ""
        answer = self._answer()
        if answer is None:
            return "the gateway is gone"
        return "" if answer.agreed else answer.why

    def _stay(self, why: str) -> None:
        """Stay awake, and log the reason if it is another one than before."""
        self._light.off()
        if why != self._reason:
            self._log(f"stays awake: {why}")
        self._reason = why
        self._withdraw_question()

    def _withdraw_question(self) -> None:
        """Remove the question, so that the gateway takes jobs again."""
        self._ask, self._due_s = None, None
        for path in (self._layout.sleep_ask, self._layout.sleep_awake):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _learn(self, now_s: float) -> None:
        """Learn the duration of the boot. The monotonic clock starts with it; it ends when a worker is connected."""
        if self._boot_s is None and now_s < _LONGEST_BOOT_S and worker_activity.connected(self._layout):
            last = costs.read(self._layout.last_sleep)
            self._boot_s = costs.learned(None if last is None else last.boot_s, now_s)
            boot_s = self._sleep.boot_s or self._boot_s
            self._costs = msgspec.structs.replace(self._costs, boot_s=boot_s)

    def _remember(self, wall: float, wake_at: float) -> None:
        """Record that the board goes to sleep: one small durable write for each sleep."""
        last = costs.read(self._layout.last_sleep)
        boot_s = self._boot_s or (None if last is None else last.boot_s)
        try:
            costs.write(self._layout.last_sleep, LastSleep(round(wall, 1), round(wake_at, 1), boot_id(), boot_s))
        except OSError as err:  # the board sleeps all the same; only the record is lost
            self._log(f"{self._layout.last_sleep}: {err.strerror or err}")


def _plan_of(power: PowerStatus, wall: float) -> Plan | None:
    """Return the plan that is valid now, or None if there is none or the fixed thresholds are in force."""
    plan = power.plan
    return plan if plan is not None and plan.floor_percent is not None and wall < plan.until else None
