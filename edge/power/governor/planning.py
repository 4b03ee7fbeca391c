"""Plans ahead for the governor: passes its readings to the planner, and saves what was learned of the solar panel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from edge.config import Config
from edge.config.power import PowerConfig
from edge.core import clock, durable, stored
from edge.core.host import boot_id, process_alive
from edge.core.text import when
from edge.model import Backlog, Plan, Reading
from edge.power.energy import calibration
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.place import about
from edge.power.governor import elsewhere
from edge.power.planner import outlook_file
from edge.power.planner.lookahead import LookAhead
from edge.power.planner.plan import may_sleep
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen
from edge.power.sleep import costs, means

#: This makes four small writes a day to the card. What is lost between two of them can be learned again.
_SAVE_EVERY_S = 6 * 3600.0


class Planning:
    """Makes the plan of a board that looks ahead.

    Belongs to the governor's thread. It works only when the governor takes a sample.
    """

    def __init__(self, config: Config, log: Callable[[str], None]) -> None:
        """Read what was learned. `config.power.battery_wh` must not be None."""
        self._whole, self._config, self._layout, self._log = config, config.power, config.layout, log
        where, forecast = None, config.power.forecast
        if forecast.latitude is not None and forecast.longitude is not None:
            where = Place(forecast.latitude, forecast.longitude, given=True)
        self._ahead = LookAhead(_read(self._layout.panel), where=where, about=about(-time.timezone))
        self._board, self._settings = board_of(config), settings_of(config.power)
        self._saved_s = time.monotonic()
        self._written_hour = -1  # hour of the last file for the gateway
        self._elsewhere, self._complaint = elsewhere.opened(forecast.external, config.mqtt.broker, log), ""
        self._had_jobs = False  # True if jobs were open when the backlog was last read

    @property
    def memory(self) -> PanelMemory:
        """What was learned of the solar panel."""
        return self._ahead.memory

    def turn(self, readings: Iterable[Reading], *, working: bool) -> Plan | None:
        """Return the plan after one sample, or None if there is no plan.

        There is no plan if no source reports the watts of a solar panel, or while a supply from outside is present.

        Args:
            readings: the readings of the sample.
            working: True if the state of the policy allows jobs of class `normal`.
        """
        values = dict[str, float]()
        for reading in readings:
            if reading.value is not None:
                values.setdefault(reading.what, reading.value)
        if "solar_watts" not in values or values.get("supply"):
            self._ahead.discard_plan()
            return None
        now, wall = clock.trusted_now(), time.time()
        percent = values.get("charge")
        if now is not None:
            self._use_outside_forecast(now)
            if self._ahead.see(now, max(0.0, values["solar_watts"]), percent):
                self._save_if_due()
        battery = None
        if percent is not None and self._config.battery_wh is not None:
            battery = Battery(percent, self._config.battery_wh)
        plan = self._ahead.planned(
            now,
            battery,
            self._jobs(),
            board=self._board,
            settings=self._settings,
            working=working,
            wall=wall,
        )
        self._write_outlook(wall if now is None else now)
        return plan

    def backlog_changed(self) -> bool:
        """Discard the plan and return True if a job came while none was open, or if the last open job ended."""
        before, some = self._had_jobs, bool(self._jobs())
        if some == before:
            return False
        self._ahead.discard_plan()
        return True

    def flush(self) -> None:
        """Save what was learned; it is durable on return. Raises OSError."""
        durable.make_folder(self._layout.panel.parent)
        durable.replace(self._layout.panel, msgspec.json.encode(self.memory))
        self._saved_s = time.monotonic()

    def close(self) -> None:
        """Close the forecast from outside. May be called twice."""
        if self._elsewhere is not None:
            self._elsewhere.close()

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_s < _SAVE_EVERY_S:
            return
        try:
            self.flush()
        except OSError as err:
            self._saved_s = time.monotonic()
            self._log(f"{self._layout.panel}: {err.strerror or err}")

    def _jobs(self) -> tuple[OpenWork, ...] | None:
        """Return the open jobs, or None if they are not known: the process that writes them does not run.

        The gateway writes them. On a node a worker does, if the workers of the node are scaled.
        """
        try:
            backlog = stored.read(self._whole.backlog, Backlog)
        except (OSError, stored.BadContent):
            return None
        if backlog.boot_id != boot_id() or not process_alive(backlog.pid):
            return None
        rows = tuple(OpenWork(row.power) for row in backlog.rows)
        self._had_jobs = bool(rows)
        return rows

    def _use_outside_forecast(self, now: float) -> None:
        """Pass a new forecast from outside to the planner. A bad one is logged, and the last one no longer counts."""
        if self._elsewhere is None:
            return
        complaint = ""
        try:
            hours = self._elsewhere.take(time.monotonic())
        except elsewhere.NoForecast as err:
            hours, complaint = {}, str(err)
        if hours is None:
            return
        if hours and (last := max(hours)) < now // 3600:
            complaint = f"the forecast from outside ends at {when((last + 1) * 3600.0)}: no hour of it is ahead"
        if complaint and complaint != self._complaint:
            self._log(complaint)
        self._complaint = complaint
        self._ahead.use_outside(hours)

    def _write_outlook(self, at: float) -> None:
        """Write forecast and board model for the gateway's start times, once an hour."""
        hour = int(at // 3600)
        if hour == self._written_hour:
            return
        self._written_hour = hour
        outlook = outlook_file.OutlookReport(
            boot_id(),
            self._ahead.outlook(at),
            self._board,
            self._config.battery_wh or 0.0,
            outlook_file.scores(self.memory),
            self.memory.place,
            sleeps=may_sleep(self._settings),
            surplus_percent=self._settings.surplus_percent,
            critical_percent=self._settings.critical_percent,
        )
        try:
            outlook_file.write(self._layout.outlook, outlook)
        except OSError:  # if tmpfs is full, the gateway shows no start times
            return


def remembered(config: Config) -> PanelMemory:
    """Return what the governor of this board has learned of its solar panel, as it was saved some hours ago at most."""
    return _read(config.layout.panel)


def board_of(config: Config) -> BoardModel:
    """Return the power that this board draws: configured, else calibrated, else default values of a board."""
    cost = costs.of(config)
    _, core = calibration.watts(config)
    return BoardModel(
        idle_w=cost.idle_watts,
        busy_w=cost.idle_watts + core,
        off_w=cost.off_watts,
        boot_s=cost.boot_s,
        boot_w=cost.boot_watts,
    )


def settings_of(power: PowerConfig) -> PlanSettings:
    """Return the limits that the owner sets to the planner."""
    limits, sleep = power.thresholds, power.sleep
    return PlanSettings(
        sleep=SleepWhen(sleep.when),
        can_wake=sleep.wake == "alarm" and not means.obstacle(power),
        critical_percent=limits.critical_percent,
        pause_percent=limits.pause_percent,
        resume_percent=limits.resume_percent,
        surplus_percent=limits.surplus_percent,
        longest_sleep_s=sleep.max_s,
    )


def _read(path: Path) -> PanelMemory:
    try:
        found = stored.read(path, PanelMemory)
    except (OSError, stored.BadContent):
        return PanelMemory()
    return found if found.whole else PanelMemory()
