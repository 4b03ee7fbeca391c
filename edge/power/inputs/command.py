"""Runs a program and returns its output without blocking the caller for long."""

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
    """The program still runs, and its timeout has not passed."""


@dataclass
class Run:
    """One run of the program, with its output so far."""

    process: subprocess.Popen[bytes]
    stdout: IO[bytes]
    started: float
    output: bytes = b""


class Command:
    """Runs a program for each answer. `ask` waits at most `patience_s`; after `timeout_s` the program is killed.

    If the program needs longer than `patience_s`, it keeps running, and a later `ask` returns its output. Belongs to
    one thread.
    """

    def __init__(self, argv: Sequence[str], *, timeout_s: float = 5.0, patience_s: float = 0.25) -> None:
        self.argv, self.timeout_s, self.patience_s = tuple(argv), timeout_s, patience_s
        self._run: Run | None = None

    def ask(self, now: float) -> str:
        """Return the output of the program, standard output and standard error together, as stripped text.

        Args:
            now: seconds of CLOCK_MONOTONIC.

        Raises:
            NotYet: the program still runs, and its timeout has not passed.
            Unreadable: the program is missing, is too slow, fails, or its output is too long or no UTF-8.
        """
        run = self._run = self._run or self._start(now)
        if self._drained(run):
            return self._collect(run)
        if (waited_s := now - run.started) >= self.timeout_s:
            self.close()
            raise Unreadable(f"{self.argv[0]}: no answer for {waited_s:.0f} s")
        raise NotYet(f"{self.argv[0]}: not answered yet")

    def close(self) -> None:
        """Kill the program and collect its exit status if it still runs. May be called twice."""
        run, self._run = self._run, None
        if run is None:
            return
        run.process.kill()
        run.stdout.close()
        # A program that hangs in a disk access does not end now; `subprocess` collects its exit status later.
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(timeout=self.patience_s)

    def _start(self, now: float) -> Run:
        try:
            process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as err:
            raise Unreadable(f"{self.argv[0]}: {err.strerror or err}") from err
        if process.stdout is None:  # for the type checker: `stdout=PIPE` always gives a pipe
            raise Unreadable(f"{self.argv[0]}: its output cannot be read")
        os.set_blocking(process.stdout.fileno(), False)
        return Run(process, process.stdout, now)

    def _drained(self, run: Run) -> bool:
        """Read output for at most `patience_s`. True once the program closed its output, which means that it ended."""
        fd = run.stdout.fileno()
        poll = select.poll()  # `select` refuses descriptors above 1023
        poll.register(fd, select.POLLIN)
        until = time.monotonic() + self.patience_s
        while (left_s := until - time.monotonic()) > 0 and poll.poll(left_s * 1000):
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
        except subprocess.TimeoutExpired:  # it closed its output but does not end, so end it
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
