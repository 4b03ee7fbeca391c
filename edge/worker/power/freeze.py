"""The worker's side of `running_job: freeze`: starts the freezer process that may stop this one."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

from edge.config import Config
from edge.core import notify
from edge.core.errors import not_none
from edge.model import Power
from edge.worker.power.freezer import CLOCK

logger = logging.getLogger(__name__)


class Freeze:
    """Starts a freezer before the first body, and another one if it has died. Belongs to the main thread."""

    def __init__(self, config: Config, name: str) -> None:
        self._layout = config.layout
        self._note = config.layout.frozen(name)
        self._process: subprocess.Popen[bytes] | None = None
        self._life = -1
        self._clock: mmap.mmap | None = None
        self._before_s = 0.0  # seconds frozen by earlier freezers
        self._failed = False

    @property
    def alive(self) -> bool:
        """True while the freezer lives. If it has died, the body is held when it calls its `Job`."""
        if self._process is None:
            return False
        poll = select.poll()
        poll.register(self._life, select.POLLIN)
        return not poll.poll(0)

    @property
    def frozen_s(self) -> float:
        """Total time for which this process was frozen, in seconds."""
        if self._clock is None:
            return self._before_s
        total_s, since = CLOCK.unpack_from(self._clock)
        now_s = time.monotonic() - since if since else 0.0
        # The freezer died while this process was frozen. Its death woke this process, so the time until now counts.
        if since and not self.alive:
            CLOCK.pack_into(self._clock, 0, total_s + now_s, 0.0)
        return float(self._before_s + total_s + now_s)

    def begin(self, job_id: str, klass: Power) -> None:
        """Tell the freezer that a body of this power class begins."""
        if self._process is not None and not self.alive:
            logger.warning("the freezer of process %d is gone; starting another", os.getpid())
            self.close()
        if self._process is None:
            self._start()
        self._say(f"{job_id} {klass}\n")

    def end(self) -> None:
        """Tell the freezer that the body has ended."""
        self._say("\n")

    def close(self) -> None:
        """End the freezer. Blocks for up to 5 s."""
        process, self._process = self._process, None
        if process is None:
            return
        self._before_s = self.frozen_s
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.close()
        with suppress(OSError):
            not_none(process.stdin, "the pipe to the freezer").close()
        os.close(self._life)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5.0)

    def _say(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # the freezer has died, see `alive`
                os.write(self._process.stdin.fileno(), line.encode())

    def _start(self) -> None:
        memory = os.memfd_create("edge-freezer")
        os.ftruncate(memory, CLOCK.size)
        life, child_end = os.pipe2(os.O_CLOEXEC)
        argv = [sys.executable, "-P", "-m", "edge.worker.power.freezer"]
        argv += [str(os.getpid()), str(self._layout.power), str(self._layout.orders), str(self._note)]
        argv += [str(memory), str(notify.ping_every_s() or 0)]
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=child_end, pass_fds=[memory], bufsize=0
            )
        except OSError as err:
            if not self._failed:
                logger.error("cannot start the freezer: %s; a job is held when it calls its Job", err)
            self._failed = True
            os.close(life)
            return
        finally:
            os.close(child_end)
            self._clock = mmap.mmap(memory, CLOCK.size)
            os.close(memory)
        self._life = life
        # The freezer's end of the pipe closes when it dies for any reason. Then the kernel sends this process SIGCONT.
        fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGCONT)
        fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
