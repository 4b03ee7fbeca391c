"""Every kind of source, one a file; `open_source` makes the one that a record of `edge.yaml` asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from edge.config import sources as config
from edge.core.layout import Layout
from edge.power.sources.reading import Source


def open_source(record: config.AnySource, layout: Layout, notify: Callable[[], None]) -> Source:
    """The source of one record; `notify` may be called from another thread when it has news at once.

    Each kind is imported when it is asked for: a board pays memory for what it has, not for what exists.
    """
    name = record.label
    match record:
        case config.PlainConfig():
            from edge.power.sources.plain import Plain

            return Plain(name)
        case config.PowerSupplyConfig():
            from edge.power.sources.power_supply import PowerSupply

            return PowerSupply(name, root=record.root, device=record.device, frozen_after_s=record.frozen_after_s)
        case config.PsutilBatteryConfig():
            from edge.power.sources.psutil_battery import PsutilBattery

            return PsutilBattery(name)
        case config.UndervoltageConfig():
            from edge.power.sources.undervoltage import Undervoltage

            return Undervoltage(
                name,
                via=record.via,
                hwmon_root=record.hwmon_root,
                get_throttled=record.get_throttled,
                vcgencmd=record.vcgencmd,
            )
        case config.PinConfig():
            from edge.power.sources.pin import Pin

            return Pin(
                name,
                pin=record.pin,
                tells=record.tells,
                active=record.active,
                pull=record.pull,
                bounce_s=record.bounce_s,
                via=record.via,
                notify=notify,
            )
        case config.ShuntConfig():
            from edge.power.sources.shunt import Shunt

            return Shunt(
                name,
                root=record.root,
                chip=record.chip,
                channel=record.channel,
                shunt_milliohm=record.shunt_milliohm,
                frozen_after_s=record.frozen_after_s,
            )
        case config.NutConfig():
            from edge.power.sources.nut import Nut

            return Nut(name, ups=record.ups, upsc=record.upsc, timeout_s=record.timeout_s)
        case config.VeDirectConfig():
            from edge.power.sources.vedirect import VeDirect

            return VeDirect(name, device=record.device)
        case config.TemperatureConfig():
            from edge.power.sources.temperature import Temperature

            return Temperature(name, path=record.path, frozen_after_s=record.frozen_after_s)
        case config.DiskConfig():
            from edge.power.sources.disk import Disk

            return Disk(name, path=record.path or layout.root)
        case config.ClockConfig():
            from edge.power.sources.clock import Clock

            return Clock(name, earliest_year=record.earliest_year, require_sync=record.require_sync)
        case config.SimulatedConfig():
            from edge.power.sources.simulated import Simulated

            return Simulated(
                name,
                live=layout.simulated,
                script=record.script,
                loop=record.loop,
                day_s=record.day_s,
                start=record.start,
            )
        case _:
            assert_never(record)
