"""Holds a running body while power does not allow its class, and lets it continue when power is back.

A body is held when it calls `job.checkpoint()`, `job.progress()` or `job.check()`. It then sleeps in the kernel until
the governor reports, the governor dies, or a signal comes. At `critical` the body gets its grace time, and then the
worker ends.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edge.config import Config
from edge.core.errors import not_none
from edge.core.wakeup import Wakeup
from edge.model import ALLOWED, Power, PowerState, PowerStatus, WaitReason
from edge.power import status as power
from edge.power.energy import bodies, calibration
from edge.worker.power.feasibility import too_hot
from edge.worker.power.freeze import Freeze
from edge.worker.power.meter import Meter
from edge.worker.power.patience import Patience
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

#: Shortest time between two reads of the report by a body that calls its `Job`. These reads are needed because no
#: signal comes when the governor dies or when its report grows too old.
LOOK_S = 1.0


@dataclass
class _Body:
    """The running body, as far as `Hold` knows it."""

    id: str
    klass: Power
    meter: Meter
    max_temp_c: float | None = None
    hot: bool = False  # held because the board is too hot


class Hold:
    """Watches the power for the one body that runs. Belongs to the main thread; signal handlers call `changed`."""

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
        """Make the watch for bodies, none of which runs yet.

        `wakeup` is that of the event loop. `freeze` is None unless the configuration has `running_job: freeze`.
        `on_held` is called when the body is held, and at each report meanwhile, so that queues open and close.
        """
        self._freeze = freeze
        self._on_held = on_held
        self._path = config.layout.power
        self._mode = config.worker.running_job
        self._grace_s = config.power.critical.grace_s
        self._layout = config.layout
        self._idle_watts, self._cpu_watts = calibration.watts(config)
        self._held = False  # the body is held now
        self._scaled = bool(config.scaled)
        self._control = control
        self._status = status
        self._watcher = watcher
        self._loop_wakeup, self._wakeup = wakeup, Wakeup()
        self._body: _Body | None = None
        self._report = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        self._seen = 0  # the watcher's version when `_report` was read
        self._look_at = 0.0
        self._patience = Patience()

    def begin(self, job_id: str, klass: Power, report: PowerStatus, *, max_temp_c: float | None = None) -> Meter:
        """Note that a body is about to run, and return its meter. `report` is the report that allowed its start."""
        meter = Meter(
            self._cpu_watts,
            report,
            memory=self._scaled,
            idle_watts=self._idle_watts,
            others=partial(bodies.alone, self._layout, besides=os.getpid()),
        )
        self._report = report
        self._body = _Body(job_id, klass, meter, max_temp_c)
        if self._freeze is not None:
            self._freeze.begin(job_id, klass)
        self._look_at = time.monotonic() + LOOK_S
        self._patience.reset()
        self._watcher.signals(True)
        self._seen = self._watcher.version
        self.changed()
        return meter

    def end(self) -> None:
        """Note that the body has ended."""
        self._watcher.signals(False)
        if self._freeze is not None:
            self._freeze.end()
        body, self._body = self._body, None
        if body is not None and time.monotonic() - body.meter.began > LOOK_S:
            body.meter.note(power.read(self._path))
        if self._watcher.stale:
            self._loop_wakeup.wake()

    def changed(self) -> None:
        """Read the report if it has changed while a body runs.

        Called at SIGIO, and after the intake may have read the report.
        """
        if self._watcher.changed() or self._watcher.version != self._seen:
            self._look()

    @property
    def wanted(self) -> bool:
        """True while the body must be held. Cheap enough for an inner loop."""
        if self._body is None:
            return False
        if time.monotonic() >= self._look_at:
            self._look()
        return self._objection() is not None

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return as soon as the body may continue. It sleeps here while power is too low.

        Args:
            saved: all progress is saved, so nothing is lost if the body ends here.
            patient: the body makes checkpoints, so it is better held at the next one (`patience.PATIENCE_S`).
            save: saves the state before the body is held, and returns True if it was saved.

        Raises:
            JobControl: the body must end.
        """
        self._control.check(saved=saved)
        if self._patience.ends(wanted=self.wanted, patient=patient):
            saved = saved or (save is not None and save())
            self._wait()
            self._patience.reset()
            self._control.check(saved=saved)

    # --- inside -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the governor's report. Also runs in the signal handler."""
        self._seen = self._watcher.version
        self._report = report = power.read(self._path)
        self._look_at = time.monotonic() + LOOK_S
        body = self._body
        if body is None:
            return
        body.meter.note(report, held=self._held)
        if report.state is PowerState.CRITICAL:
            self._control.start_grace(self._grace_s, f"power is critical ({report.reason}) and the worker leaves")
        else:
            self._control.end_grace()

    def _objection(self) -> WaitReason | None:
        """Return why the body may not continue, or None if it may."""
        body, report = self._body, self._report
        if body is None or report.state is PowerState.CRITICAL:  # the body runs on to a checkpoint in its grace time
            return None
        if body.klass not in ALLOWED[report.state] and self._holds:
            return WaitReason(0.0, f"power is {report.state} ({report.reason})", until=report.until)
        hot = too_hot(body.max_temp_c, report, held=body.hot)
        body.hot = hot is not None
        return hot

    @property
    def _holds(self) -> bool:
        """True if low power holds the body here: in mode `hold`, or in mode `freeze` after the freezer has died."""
        return self._mode == "hold" or (self._freeze is not None and not self._freeze.alive)

    def _wait(self) -> None:
        """Sleep until power allows the body to continue, or until it must end."""
        began, since, job_id = time.monotonic(), time.time(), not_none(self._body, "the body that is held").id
        with self._control.holding(self._wakeup.wake):
            self._watcher.signals(False)  # its handler would consume the event that `_sleep` waits for
            self._held = True
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
                    else:  # the intake has read a newer report meanwhile, so no event will come for that report
                        self._look()
            finally:
                self._held = False
                self._watcher.signals(True)
                self.changed()  # a change may have come before the signals were on again
        self._status.resume()
        logger.info("job %s goes on after %.1f s", job_id, time.monotonic() - began)

    def _sleep(self) -> None:
        """Block until there is a new report, the old one is too old, or a signal comes for the body."""
        while True:
            ready = power.wait(self._report, (self._watcher.fileno(), self._wakeup.fileno()))
            if ready != {self._watcher.fileno()} or self._watcher.look():
                break  # otherwise another file in the folder has changed, such as the status of this worker
        self._wakeup.clear()
        self._watcher.look()
        self._look()
