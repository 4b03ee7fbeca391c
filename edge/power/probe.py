"""Looks at what the board has, and says how `edge.yaml` would name it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

from edge.config.sources import (
    AnySource,
    ClockConfig,
    DiskConfig,
    NutConfig,
    PowerSupplyConfig,
    ShuntConfig,
    TemperatureConfig,
    UndervoltageConfig,
    VeDirectConfig,
)
from edge.core.layout import Layout
from edge.model import Reading
from edge.power.sources import open_source, sysfs
from edge.power.sources.reading import Unreadable

_RPI_VOLT, _SHUNTS = re.compile("rpi_volt"), re.compile("ina[0-9]+x*")


class FoundSource(msgspec.Struct, frozen=True):
    """A source that is there (or a note on one that is not), and what it says now."""

    record: AnySource | None
    note: str = ""
    readings: tuple[Reading, ...] = ()


def probe(layout: Layout, *, root: Path = Path("/")) -> list[FoundSource]:
    """Everything found under `root`, each read once. Pins are not touched: reading one may disturb its owner."""
    finds = [found for look in (_supplies, _undervoltage, _shunts, _vedirect, _nut, _thermal) for found in look(root)]
    finds += [FoundSource(DiskConfig()), FoundSource(ClockConfig())]
    return [_read(found, layout) for found in finds]


def as_yaml(finds: list[FoundSource]) -> str:
    """The `power` section to paste, with notes and the readings of now as comments."""
    lines = ["power:", "  sources:"]
    for found in finds:
        lines += [f"    # {found.note}"] if found.note else []
        lines += [f"    # now: {_shown(reading)}" for reading in found.readings]
        if found.record is not None:
            keys = msgspec.to_builtins(found.record, enc_hook=str)
            dumped = yaml.safe_dump([keys], sort_keys=False, default_flow_style=False, allow_unicode=True)
            lines += [f"    {line}" for line in dumped.splitlines()]
    return "\n".join(lines) + "\n"


def _read(found: FoundSource, layout: Layout) -> FoundSource:
    if found.record is None:
        return found
    source = open_source(found.record, layout, lambda: None)
    try:
        return msgspec.structs.replace(found, readings=source.read(0.0))
    finally:
        source.close()


def _shown(reading: Reading) -> str:
    if reading.value is None:
        return f"{reading.what} unknown ({reading.reason})"
    if reading.what == "clock":
        return time.strftime("clock %Y-%m-%d %H:%M:%S UTC", time.gmtime(reading.value))
    return f"{reading.what} {reading.value:g} {reading.unit}".strip()


def _supplies(root: Path) -> Iterator[FoundSource]:
    path = root / "sys/class/power_supply"
    nodes = [folder.name for folder in sysfs.folders(path)]
    if nodes:
        yield FoundSource(PowerSupplyConfig(root=path), note=f"kernel power supplies: {', '.join(nodes)}")


def _undervoltage(root: Path) -> Iterator[FoundSource]:
    hwmon = root / "sys/class/hwmon"
    throttled = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    try:
        sysfs.hwmon(hwmon, _RPI_VOLT)
        yield FoundSource(UndervoltageConfig(hwmon_root=hwmon))
    except Unreadable:
        if throttled.exists():
            yield FoundSource(UndervoltageConfig(via="get_throttled", get_throttled=throttled))
        elif program := shutil.which("vcgencmd"):
            yield FoundSource(UndervoltageConfig(via="vcgencmd", vcgencmd=program))
        else:
            yield FoundSource(None, note="no undervoltage detector: Zero boards and some Compute Modules have none")


def _shunts(root: Path) -> Iterator[FoundSource]:
    path = root / "sys/class/hwmon"
    for folder in sysfs.folders(path):
        try:
            name = sysfs.text(folder / "name")
        except Unreadable:
            continue
        if not _SHUNTS.fullmatch(name):
            continue
        note = f"{name}: set shunt_milliohm to what is printed on the board, and cells or volts to let volts decide"
        if (folder / "shunt1_resistor").exists():
            for channel in (1, 2, 3):
                record = ShuntConfig(name=f"shunt{channel}", root=path, chip=name, channel=channel)
                yield FoundSource(record, note=note)
        else:
            yield FoundSource(ShuntConfig(name=name, root=path, chip=name), note=note)


def _vedirect(root: Path) -> Iterator[FoundSource]:
    for number, path in enumerate(sysfs.folders(root / "dev/serial/by-id"), 1):
        if "VE_Direct" in path.name:
            name = None if number == 1 else f"vedirect{number}"
            yield FoundSource(VeDirectConfig(name=name, device=path), note="set cells or volts to let volts decide")


def _nut(_root: Path) -> Iterator[FoundSource]:
    if not shutil.which("upsc"):
        return
    try:
        listed = subprocess.run(["upsc", "-l"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return
    for name in listed.stdout.split() if listed.returncode == 0 else []:
        if re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            label = re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("-_")[:32] or "ups"
            yield FoundSource(NutConfig(name=label, ups=f"{name}@localhost"))


def _thermal(root: Path) -> Iterator[FoundSource]:
    for folder in sysfs.folders(root / "sys/class/thermal"):
        try:
            kind = sysfs.text(folder / "type")
        except Unreadable:
            continue
        if "cpu" in kind or "soc" in kind or kind == "x86_pkg_temp":
            yield FoundSource(TemperatureConfig(path=folder / "temp"), note=kind)
            return
