"""Stops a running body in place while power does not allow its class, and lets it go on when power is back.

A body is stopped where it asks: at `job.checkpoint()`, `job.progress()` or `job.check()`. It then sleeps in the kernel
until the governor speaks, the governor dies, or a signal comes. At `critical` it gets its grace, and its worker leaves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.config import Config
from edge.core.errors import given
from edge.core.wakeup import Wakeup
from edge.model import ALLOWED, Power, PowerState, PowerStatus, WaitReason
from edge.power import status as power
from edge.worker.power.feasibility import too_hot
from edge.worker.power.freeze import Freeze
from edge.worker.power.meter import Meter
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

#: The end of a governor, and a word that grows too old, send no signal: a body that asks looks at most so often.
LOOK_S = 1.0
#: A body that makes checkpoints is held at its next one, where its state is saved, if that comes within this time.
PATIENCE_S = 2.0


@dataclass
class _Body:
    """The body that runs."""

    id: str
    klass: Power
    meter: Meter
    max_temp_c: float | None = None
    hot: bool = False  # held for its heat


class Hold:
    """Watches the power for the one body that runs. Belongs to the main thread; `changed` to its signal handler."""

    def __init__(
        self,
        config: Config,
        *,
        control: Control,
        status: StatusFile,
        watcher: PowerWatcher,
        wakeup: Wakeup,
        freeze: Freeze | None,
        on_held: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_held` is called when the body is held, and at each news meanwhile: queues close and open as ever."""
        self._freeze = freeze
        self._on_held = on_held
        self._path = config.layout.power
        self._mode = config.worker.running_job
        self._grace_s = config.power.critical.grace_s
        self._cpu_watts = config.worker.cpu_watts
        self._control = control
        self._status = status
        self._watcher = watcher
        self._loop_wakeup, self._wakeup = wakeup, Wakeup()
        self._body: _Body | None = None
        self._said = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        self._seen = 0  # version of the watcher's word when ours was read
        self._look_at = 0.0
        self._wanted_since: float | None = None

    def begin(self, job_id: str, klass: Power, said: PowerStatus, *, max_temp_c: float | None = None) -> Meter:
        """A body is about to run; `said` is what let it in."""
        meter = Meter(self._cpu_watts, said)
        self._said = said
        self._body = _Body(job_id, klass, meter, max_temp_c)
        if self._freeze is not None:
            self._freeze.begin(job_id, klass)
        self._look_at = time.monotonic() + LOOK_S
        self._wanted_since = None
        self._watcher.signals(True)
        self._seen = self._watcher.version
        self.changed()
        return meter

    def end(self) -> None:
        """The body has ended."""
        self._watcher.signals(False)
        if self._freeze is not None:
            self._freeze.end()
        body, self._body = self._body, None
        if body is not None and time.monotonic() - body.meter.began > LOOK_S:
            body.meter.note(power.read(self._path))
        if self._watcher.stale:
            self._loop_wakeup.ring()

    def changed(self) -> None:
        """Power may have changed while a body runs: SIGIO came, or somebody else read the news."""
        if self._watcher.changed() or self._watcher.version != self._seen:
            self._look()

    @property
    def wanted(self) -> bool:
        """True while the body is to stop where it stands; cheap enough for an inner loop."""
        if self._body is None:
            return False
        if time.monotonic() >= self._look_at:
            self._look()
        return self._objection() is not None

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return when the body may go on; raise in it what is due.

        `saved`: nothing is lost by an end here. `patient`: a better place to be held at is soon to come. `save` is
        called first where the body is to be held with something to lose; True when that is saved.
        """
        self._control.check(saved=saved)
        if not self.wanted:
            self._wanted_since = None
            return
        now = time.monotonic()
        self._wanted_since = since = self._wanted_since or now
        if not patient or now - since >= PATIENCE_S:
            saved = saved or (save is not None and save())
            self._wait()
            self._wanted_since = None
            self._control.check(saved=saved)

    # --- inside -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the governor's word. Runs in the signal handler too."""
        self._seen = self._watcher.version
        self._said = said = power.read(self._path)
        self._look_at = time.monotonic() + LOOK_S
        body = self._body
        if body is None:
            return
        body.meter.note(said)
        if said.state is PowerState.CRITICAL:
            self._control.leave(self._grace_s, f"power is critical ({said.reason}) and the worker leaves")
        else:
            self._control.stay()

    def _objection(self) -> WaitReason | None:
        """Why the body may not go on, if so."""
        body, said = self._body, self._said
        if body is None or said.state is PowerState.CRITICAL:  # its grace is for running on to a checkpoint
            return None
        if body.klass not in ALLOWED[said.state] and self._holds:
            return WaitReason(0.0, f"power is {said.state} ({said.reason})", until=said.until)
        hot = too_hot(body.max_temp_c, said, held=body.hot)
        body.hot = hot is not None
        return hot

    @property
    def _holds(self) -> bool:
        """True where the body itself has to stop; also in place of a freezer that died."""
        return self._mode == "hold" or (self._freeze is not None and not self._freeze.alive)

    def _wait(self) -> None:
        """Sleep until there is no objection any more, or the body is to end."""
        began, since, job_id = time.monotonic(), time.time(), given(self._body, "the body that is held").id
        with self._control.holding(self._wakeup.ring):
            self._watcher.signals(False)  # its handler would take in what this poll waits for
            try:
                self._look()
                while (why := self._objection()) is not None and not self._control.due:
                    if self._status.hold(WaitReason(since, why.reason, why.until)):
                        logger.info(
                            "job %s is held: %s; goes on when %s", job_id, why.reason, why.until or "it is over"
                        )
                    self._on_held()
                    if self._watcher.version == self._seen:
                        self._sleep()
                    else:  # the intake has read newer power news meanwhile; no event will announce it again
                        self._look()
            finally:
                self._watcher.signals(True)
                self.changed()  # what came before the signals were on again
        self._status.go_on()
        logger.info("job %s goes on after %.1f s", job_id, time.monotonic() - began)

    def _sleep(self) -> None:
        """Block until the governor has spoken, its word is void, or something is due for the body."""
        while True:
            ready = power.wait(self._said, (self._watcher.fileno(), self._wakeup.fileno()))
            if ready != {self._watcher.fileno()} or self._watcher.look():
                break  # else it was another file in the folder: our own status, most likely
        self._wakeup.hush()
        self._watcher.look()
        self._look()
