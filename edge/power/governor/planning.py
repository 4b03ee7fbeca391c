"""Looks ahead for the governor: feeds what it reads to the planner, and keeps what was learned of the panel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from edge.config import Config
from edge.config.power import PowerConfig
from edge.core import clock, durable
from edge.core.host import boot_id, process_alive
from edge.model import Backlog, Plan, Reading
from edge.power.energy import calibration
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.place import about
from edge.power.governor import elsewhere
from edge.power.planner import told
from edge.power.planner.lookahead import LookAhead
from edge.power.planner.plan import may_sleep
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen
from edge.power.sleep import costs, means

#: Four small writes a day to the card; what is learned in between can be learned again.
_SAVE_EVERY_S = 6 * 3600.0


class Planning:
    """The plan of a board that looks ahead. Belongs to the governor's thread; does nothing while no sample is due."""

    def __init__(self, config: Config, log: Callable[[str], None]) -> None:
        """Read what was learned. `config.power.battery_wh` is given."""
        self._whole, self._config, self._layout, self._log = config, config.power, config.layout, log
        where, forecast = None, config.power.forecast
        if forecast.latitude is not None and forecast.longitude is not None:
            where = Place(forecast.latitude, forecast.longitude, given=True)
        self._ahead = LookAhead(_read(self._layout.panel), where=where, about=about(-time.timezone))
        self._board, self._settings = board_of(config), settings_of(config.power)
        self._saved_s = time.monotonic()
        self._told_hour = -1
        self._elsewhere, self._complaint = elsewhere.opened(forecast.elsewhere, config.mqtt.broker, log), ""
        self._some = False  # jobs were open at the last look

    @property
    def memory(self) -> PanelMemory:
        """What is known of the panel."""
        return self._ahead.memory

    def turn(self, readings: Iterable[Reading], *, working: bool) -> Plan | None:
        """The plan after one round of readings; None where nothing tells of a panel and a battery, or on the mains."""
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
            self._from_outside()
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
        self._tell(wall if now is None else now)
        return plan

    def backlog_changed(self) -> bool:
        """True where there are jobs and were none, or the other way round: the plan is made anew."""
        before, some = self._some, bool(self._jobs())
        if some == before:
            return False
        self._ahead.discard_plan()
        return True

    def flush(self) -> None:
        """Keep what was learned. Raises OSError."""
        durable.make_folder(self._layout.panel.parent)
        durable.replace(self._layout.panel, msgspec.json.encode(self.memory))
        self._saved_s = time.monotonic()

    def close(self) -> None:
        """Let the forecast from elsewhere go. May be called twice."""
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
        """The open jobs as the gateway tells them; None while there is no gateway, as on a node."""
        try:
            backlog = msgspec.json.decode(self._whole.backlog.read_bytes(), type=Backlog)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if backlog.boot_id != boot_id() or not process_alive(backlog.pid):
            return None
        rows = tuple(OpenWork(row.power) for row in backlog.rows)
        self._some = bool(rows)
        return rows

    def _from_outside(self) -> None:
        """Take the forecast of somebody else where there is another one."""
        if self._elsewhere is None:
            return
        complaint = ""
        try:
            hours = self._elsewhere.take(time.monotonic())
        except elsewhere.NoForecast as err:
            hours, complaint = {}, str(err)
        if hours is None:
            return
        if complaint and complaint != self._complaint:
            self._log(complaint)
        self._complaint = complaint
        self._ahead.use_outside(hours)

    def _tell(self, at: float) -> None:
        hour = int(at // 3600)
        if hour == self._told_hour:
            return
        self._told_hour = hour
        said = told.Told(
            boot_id(),
            self._ahead.outlook(at),
            self._board,
            self._config.battery_wh or 0.0,
            told.scores(self.memory),
            self.memory.place,
            sleeps=may_sleep(self._settings),
        )
        try:
            told.write(self._layout.outlook, said)
        except OSError:  # a full tmpfs: nobody is told when jobs start
            return


def remembered(config: Config) -> PanelMemory:
    """What the governor of this board knows of its panel, a few hours old at most."""
    return _read(config.layout.panel)


def board_of(config: Config) -> BoardModel:
    """What this board draws: configured, else calibrated, else usual."""
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
    """What the owner allows the planner."""
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
        found = msgspec.json.decode(path.read_bytes(), type=PanelMemory)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return PanelMemory()
    return found if found.whole else PanelMemory()
