"""Runs the governor as a process: takes its lock, then runs one loop that sleeps until something happens."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import Config, Loaded
from edge.core import durable, notify
from edge.core.errors import StackError
from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.core.watch import Watch
from edge.power.governor.governor import Governor, log
from edge.power.governor.local_time import LocalTime

if TYPE_CHECKING:
    from edge.power.governor.planning import Planning
    from edge.power.sleep.sleeper import Sleeper
    from edge.power.workers.scaler import Scaler

_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})
_LONGEST_WAIT_S = 86_400.0


def main(loaded: Loaded) -> int:
    """Run the governor until SIGTERM or SIGINT.

    Returns:
        The exit code.

    Raises:
        StackError: a governor runs already in this run folder, or a folder cannot be made.
    """
    layout = loaded.config.layout
    try:
        durable.make_folder(layout.pause.parent)
        made = (layout.policy, layout.simulated, layout.pause_order, layout.button_held)
        for folder in dict.fromkeys(path.parent for path in made):
            folder.mkdir(parents=True, exist_ok=True)
        # lgpio makes a pipe in the working folder. Under systemd that would be `/`, which is read-only.
        os.chdir(layout.policy.parent)
    except OSError as err:
        raise StackError(f"{err.filename}: {err.strerror or err}") from err
    with _locked(layout.run / "governor.lock"), closing(Wakeup()) as wakeup, wakeup.signals(_ENDS):
        watch = Watch(layout.pause.parent, layout.simulated.parent, layout.pause_order.parent)
        governor = Governor(loaded.config.power, layout, wake=wakeup.wake, planning=_planning(loaded.config))
        try:
            governor.turn(time.monotonic())
            if loaded.config.power.looks_ahead:
                loaded.config.backlog.parent.mkdir(parents=True, exist_ok=True)
                watch.add(loaded.config.backlog.parent)
            scaler = _scaler(loaded.config, watch)
            if scaler is not None:
                scaler.turn(time.monotonic(), governor.reported)
            sleeper = _sleeper(loaded.config, watch)
            notify.ready()
            _loop(governor, scaler, watch, wakeup, layout, sleeper=sleeper)
        finally:
            notify.stopping()
            governor.close()
            watch.close()
    return 0


def _scaler(config: Config, watch: Watch) -> Scaler | None:
    """Return the scaler, or None if no worker is scaled. Makes `watch` report the backlog. Raises StackError."""
    if not config.scaled:
        return None
    from edge.power.workers.scaler import Scaler  # 0.7 MB that a board without scaled workers does not need

    try:
        scaler = Scaler(config, log)
        watch.add(config.backlog.parent)
    except OSError as err:
        raise StackError(f"{err.filename}: {err.strerror or err}") from err
    return scaler


def _planning(config: Config) -> Planning | None:
    """Return the planning, or None if the board does not look ahead."""
    if not config.power.looks_ahead:
        return None
    from edge.power.governor.planning import Planning  # a board that does not look ahead does not load it

    return Planning(config, log)


def _sleeper(config: Config, watch: Watch) -> Sleeper | None:
    """Return the sleeper, or None if the board never sleeps. Makes `watch` report the answers. Raises StackError."""
    if config.power.sleep.when == "never":
        return None
    from edge.power.sleep.sleeper import Sleeper  # a board that never sleeps does not load it

    try:
        sleeper = Sleeper(config, log, minute_of=LocalTime.minute)
        watch.add(config.layout.sleep_answer.parent)
    except OSError as err:
        raise StackError(f"{err.filename}: {err.strerror or err}") from err
    return sleeper


def _loop(
    governor: Governor,
    scaler: Scaler | None,
    watch: Watch,
    wakeup: Wakeup,
    layout: Layout,
    *,
    sleeper: Sleeper | None = None,
) -> None:
    """Call `turn` of the governor, the scaler and the sleeper whenever something is due or happens.

    Returns after SIGTERM or SIGINT.
    """
    by_person = {layout.pause.name, layout.simulated.name, layout.pause_order.name}
    with selectors.DefaultSelector() as selector:
        selector.register(wakeup, selectors.EVENT_READ)
        selector.register(watch, selectors.EVENT_READ)
        every_s = notify.ping_every_s()
        while True:
            governor.turn(time.monotonic())
            wait_s = governor.wait_s(time.monotonic())
            if scaler is not None:
                scaler.turn(time.monotonic(), governor.reported)
                also_s = scaler.wait_s(time.monotonic())
                wait_s = min((each for each in (wait_s, also_s) if each is not None), default=None)
            if sleeper is not None:
                if (order := sleeper.turn(time.monotonic(), governor.reported)) is not None:
                    governor.sleep(time.monotonic(), order)
                    continue
                also_s = sleeper.wait_s(time.monotonic())
                wait_s = min((each for each in (wait_s, also_s) if each is not None), default=None)
            if every_s is not None:
                notify.alive()
                wait_s = every_s if wait_s is None else min(every_s, wait_s)
            # A pause may last a year. epoll counts milliseconds in 32 bits, which is 24 days.
            for key, _ in selector.select(None if wait_s is None else min(wait_s, _LONGEST_WAIT_S)):
                if key.fileobj is watch:
                    changes = watch.read()
                    if changes.may_touch(*by_person):
                        governor.look_again()
                    if changes.may_touch(layout.backlog.name):
                        governor.backlog_changed()
                    if scaler is not None and changes.may_touch(layout.backlog.name, layout.scale_by_hand.name):
                        scaler.changed()
                    if sleeper is not None and changes.may_touch(layout.sleep_answer.name):
                        sleeper.changed()
                elif _ENDS & wakeup.clear():
                    return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the only governor of this run folder. The kernel releases it however the process ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StackError(f"a governor runs already on {path.parent}") from err
        yield
