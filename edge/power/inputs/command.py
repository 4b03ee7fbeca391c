"""A program asked for a number without ever holding up whoever asks."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from edge.power.inputs.reading import Unreadable

_LONGEST = 65_536


class NotYet(Unreadable):
    """The program still runs, and has time left."""


@dataclass
class Run:
    """One run of the program, and what it wrote so far."""

    process: subprocess.Popen[bytes]
    stdout: IO[bytes]
    started: float
    output: bytes = b""


class Command:
    """Runs a program at each `ask`, waits for it no longer than `patience_s`, and kills it after `timeout_s`.

    An answer that comes later than `patience_s` is returned by the next `ask`.
    """

    def __init__(self, argv: Sequence[str], *, timeout_s: float = 5.0, patience_s: float = 0.25) -> None:
        self.argv, self.timeout_s, self.patience_s = tuple(argv), timeout_s, patience_s
        self._run: Run | None = None

    def ask(self, now: float) -> str:
        """What the program wrote.

        Raises:
            NotYet: it still runs, and has time left.
            Unreadable: it is missing, slow, fails, writes garbage or without end.
        """
        run = self._run = self._run or self._start(now)
        if self._drained(run):
            return self._collect(run)
        if (waited_s := now - run.started) >= self.timeout_s:
            self.close()
            raise Unreadable(f"{self.argv[0]}: no answer for {waited_s:.0f} s")
        raise NotYet(f"{self.argv[0]}: not answered yet")

    def close(self) -> None:
        """Kill and reap a program that still runs."""
        run, self._run = self._run, None
        if run is None:
            return
        run.process.kill()
        run.stdout.close()
        with suppress(subprocess.TimeoutExpired):  # it hangs in a disk that does not answer; later ones reap it
            run.process.wait(timeout=self.patience_s)

    def _start(self, now: float) -> Run:
        try:
            process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as err:
            raise Unreadable(f"{self.argv[0]}: {err.strerror or err}") from err
        if process.stdout is None:  # a pipe was asked for
            raise Unreadable(f"{self.argv[0]}: its output cannot be read")
        os.set_blocking(process.stdout.fileno(), False)
        return Run(process, process.stdout, now)

    def _drained(self, run: Run) -> bool:
        """True once the program closed its output, which is when it ended."""
        fd = run.stdout.fileno()
        until = time.monotonic() + self.patience_s
        while (left_s := until - time.monotonic()) > 0 and select.select([fd], [], [], left_s)[0]:
            data = os.read(fd, _LONGEST)
            if not data:
                return True
            run.output += data
            if len(run.output) > _LONGEST:
                self.close()
                raise Unreadable(f"{self.argv[0]}: wrote more than {_LONGEST >> 10} KiB")
        return False

    def _collect(self, run: Run) -> str:
        self._run = None
        run.stdout.close()
        try:
            code = run.process.wait(timeout=self.patience_s)
        except subprocess.TimeoutExpired:  # it closed its output and stays: nothing we asked for
            run.process.kill()
            code = run.process.wait()
        try:
            output = run.output.decode("utf-8").strip()
        except UnicodeDecodeError as err:
            raise Unreadable(f"{self.argv[0]}: garbled ({run.output[:20]!r})") from err
        if code != 0:
            last = output.splitlines()[-1] if output else f"exit code {code}"
            raise Unreadable(f"{self.argv[0]}: {last[:200]}")
        return output
