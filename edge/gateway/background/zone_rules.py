"""Notices new rules of the time zones while the gateway runs, so that schedules follow an update of `tzdata`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from edge.core.watch import Watch
from edge.schedule.zone import RULES_FILE, forget, rules_folder, tz_rules_version

log = logging.getLogger(__name__)

#: A package replaces several hundred files one by one, and the zones must not be read half-way.
CALM_S = 10.0


class ZoneRules:
    """Watches the folder of the system's rules by inotify. Runs on the event loop.

    Python keeps each zone that it has read, so `current` lets it forget them when the rules have changed.
    """

    def __init__(self, changed: Callable[[], None], *, calm_s: float = CALM_S) -> None:
        """`changed` is called `calm_s` seconds after the last change of the rules. Nothing is watched until `start`."""
        self._changed, self._calm_s = changed, calm_s
        self._watch: Watch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._version = ""

    def start(self) -> None:
        """Start watching. If that is not possible, new rules are noticed at the next call of `current` only."""
        folder = rules_folder()
        if folder is None:  # the Python package `tzdata` has the rules; it changes with a release only
            return
        try:
            self._watch = Watch(folder)
        except OSError as err:
            log.warning("updates of the time zones cannot be watched: %s", err)
            return
        asyncio.get_running_loop().add_reader(self._watch, self._on_change, self._watch)

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        watch, self._watch = self._watch, None
        if self._timer is not None:
            self._timer.cancel()
        if watch is not None:
            asyncio.get_running_loop().remove_reader(watch)
            watch.close()

    def current(self) -> str:
        """Return the version of the rules. Zones that are read after this call have the rules of this version."""
        version = tz_rules_version()
        if version != self._version:
            forget()
            self._version = version
        return version

    def _on_change(self, watch: Watch) -> None:
        changes = watch.read()
        for folder in changes.gone:
            with suppress(OSError):
                watch.add(folder)
        if changes.may_touch(RULES_FILE):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._calm_s, self._changed)
