"""The governor as a process: one lock, and one loop that sleeps until something happens."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge.config import Loaded
from edge.core import durable, notify
from edge.core.errors import StackError
from edge.core.wakeup import Wakeup
from edge.core.watch import Watch
from edge.power.governor.governor import Governor

_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})


def main(loaded: Loaded) -> int:
    """Govern until SIGTERM or SIGINT; returns the exit code. Raises StackError when a governor runs already."""
    layout = loaded.config.layout
    try:
        durable.make_folder(layout.pause.parent)
        for folder in (layout.policy.parent, layout.simulated.parent, layout.button_held.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # lgpio keeps a pipe in the working folder, and under a unit that is the read-only `/`.
        os.chdir(layout.policy.parent)
    except OSError as err:
        raise StackError(f"{err.filename}: {err.strerror or err}") from err
    with _locked(layout.run / "governor.lock"), closing(Wakeup()) as wakeup, wakeup.signals(_ENDS):
        watch = Watch(layout.pause.parent, layout.simulated.parent)
        governor = Governor(loaded.config.power, layout, wake=wakeup.ring)
        try:
            governor.turn(time.monotonic())
            notify.ready()
            _loop(governor, watch, wakeup, files={layout.pause.name, layout.simulated.name})
        finally:
            notify.stopping()
            governor.close()
            watch.close()
    return 0


def _loop(governor: Governor, watch: Watch, wakeup: Wakeup, *, files: set[str]) -> None:
    """Turn the governor whenever something is due or happens, until a signal ends it."""
    with selectors.DefaultSelector() as selector:
        selector.register(wakeup, selectors.EVENT_READ)
        selector.register(watch, selectors.EVENT_READ)
        every_s = notify.ping_every_s()
        while True:
            governor.turn(time.monotonic())
            wait_s = governor.wait_s(time.monotonic())
            if every_s is not None:
                notify.alive()
                wait_s = every_s if wait_s is None else min(every_s, wait_s)
            for key, _ in selector.select(wait_s):
                if key.fileobj is watch:
                    if watch.read().may_touch(*files):
                        governor.look_again()
                elif _ENDS & wakeup.hush():
                    return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the one governor of this run folder; the kernel drops it however we end."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StackError(f"a governor runs already on {path.parent}") from err
        yield
