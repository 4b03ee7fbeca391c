"""Finds the power sources of a board, and prints how `edge.yaml` would name them (`edge power probe`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import yaml

from edge.config.kinds import Kinds
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.model import Reading
from edge.power.inputs.source import FoundSource, PowerSourceConfig

__all__ = ["FoundSource", "as_yaml", "probe"]


def probe(layout: Layout, *, root: Path = Path("/"), kinds: Kinds | None = None) -> list[FoundSource]:
    """Return every source found under `root`, each with the readings of one read.

    Pins are not touched: to read a pin may disturb the program that owns it.

    Args:
        layout: the folders of the board.
        root: the folder that stands in place of `/`.
        kinds: the kinds of source to look for; None stands for the kinds of the product and of installed packages.
    """
    kinds_of_source = kinds or Kinds()
    records: list[type[PowerSourceConfig]] = []
    found: list[FoundSource] = []
    for kind in kinds_of_source.names():
        try:
            record = kinds_of_source.record(kind)
        except ConfigError as err:  # an installed package whose kind cannot be loaded
            found.append(FoundSource(None, note=str(err)))
        else:
            records += [record] if issubclass(record, PowerSourceConfig) else []
    records.sort(key=lambda record: record.probe_rank)
    found += [each for record in records for each in _probed(record, root)]
    return [_read(each, layout) for each in _named_apart(found)]


def _probed(record: type[PowerSourceConfig], root: Path) -> list[FoundSource]:
    """Return the sources found of one kind, or a note if the code of the kind fails."""
    try:
        return list(record.probe(root))
    except Exception as err:  # the code of a package that is not ours may raise anything
        return [FoundSource(None, note=f"kind {record.__struct_config__.tag} cannot be probed: {_one_line(err)}")]


def as_yaml(found: list[FoundSource]) -> str:
    """Return the `power` section to paste into `edge.yaml`, with notes and the current readings as comments."""
    lines = ["power:", "  sources:"]
    for each in found:
        lines += [f"    # {each.note}"] if each.note else []
        lines += [f"    # now: {_shown(reading)}" for reading in each.readings]
        if each.record is not None:
            keys = msgspec.to_builtins(each.record, enc_hook=str)
            dumped = yaml.safe_dump([keys], sort_keys=False, default_flow_style=False, allow_unicode=True)
            lines += [f"    {line}" for line in dumped.splitlines()]
    return "\n".join(lines) + "\n"


def _named_apart(found: list[FoundSource]) -> Iterator[FoundSource]:
    """Yield each source under a unique name.

    Names can collide: a UPS may be called `clock`, and two chips may have the same address on two buses.
    """
    taken: set[str] = set()
    for each in found:
        record = each.record
        if record is None:
            yield each
            continue
        label, number = record.label, 2
        while label in taken:
            label, number = f"{record.label[:28]}-{number}", number + 1
        taken.add(label)
        yield (
            each
            if label == record.label
            else msgspec.structs.replace(each, record=msgspec.structs.replace(record, name=label))
        )


def _read(found: FoundSource, layout: Layout) -> FoundSource:
    if found.record is None:
        return found
    try:
        with closing(found.record.open(layout, lambda: None)) as source:
            readings = tuple(each for each in source.read(0.0) if isinstance(each, Reading))
            return msgspec.structs.replace(found, readings=readings)
    except Exception as err:  # the code of a package that is not ours may raise anything
        return msgspec.structs.replace(found, note=f"cannot be read: {_one_line(err)}")


def _one_line(err: Exception) -> str:
    return " ".join(f"{type(err).__name__}: {err}".split())


def _shown(reading: Reading) -> str:
    if reading.value is None:
        return f"{reading.what} unknown ({reading.reason})"
    if reading.what == "clock":
        return time.strftime("clock %Y-%m-%d %H:%M:%S UTC", time.gmtime(reading.value))
    return f"{reading.what} {reading.value:g} {reading.unit}".strip()
