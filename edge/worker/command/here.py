"""Lists what this machine lacks for the configured commands, for `edge config check` and `edge doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge.catalog.commands import commands_of, is_any
from edge.config import Config
from edge.config.command_check import program_of
from edge.config.commands import PATH
from edge.worker.command.cgroup_files import Limit, wanted
from edge.worker.command.disk_weight import CURE, why_no_weight
from edge.worker.command.sandbox import bubblewrap

_CGROUPS = Path("/sys/fs/cgroup")


def missing(config: Config, *, cgroups: Path = _CGROUPS) -> Iterator[tuple[str, str]]:
    """Yield a problem and its remedy, as sentences for people, for each thing that is missing."""
    sandboxed = [command.name for command in commands_of(config) if command.sandbox]
    if sandboxed and bubblewrap() is None:
        yield f"bubblewrap is not installed: jobs of {', '.join(sandboxed)} are refused", "apt install bubblewrap"
    for number, command in enumerate(config.commands):
        if not is_any(command) and program_of(command) is None:
            what = f"commands[{number}].run[0] = {command.run[0]!r}: no such program on this machine"
            yield f"{what}: jobs of {command.name} are refused", f"install it (looked in {PATH})"
        for place, path in enumerate(command.reads):
            if not Path(path).exists():
                what = f"commands[{number}].reads[{place}] = {path!r}: not on this machine"
                yield f"{what}: jobs of {command.name} are refused", "make it, or leave it out"
        for limit in wanted(command):
            if not _has(limit, cgroups):
                what = f"commands[{number}].{limit.key}: the kernel's controller {limit.controller!r} is off"
                yield f"{what}: jobs of {command.name} are refused", limit.hint or "leave the limit out"
            elif limit.of_disk and (why := why_no_weight(config.layout.root)):
                what = f"commands[{number}].{limit.key}: {why}"
                yield f"{what}: jobs of {command.name} are refused", f"{CURE}, or leave the limit out"


def _has(limit: Limit, cgroups: Path) -> bool:
    """Return True if the kernel has the controller of the limit, in version 2 or in version 1."""
    for root in (cgroups, cgroups / "unified"):
        with suppress(OSError):
            if limit.controller in (root / "cgroup.controllers").read_text().split():
                return True
    return (cgroups / (limit.v1_controller or limit.controller)).is_dir()
