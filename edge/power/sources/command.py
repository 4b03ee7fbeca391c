"""A program asked for a number without ever holding up whoever asks."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from edge.core.invariant import given
from edge.power.sources.reading import Unreadable

_LONGEST = 65_536


class NotYet(Unreadable):
    """The program still runs, and has time left."""


class Command:
    """Runs a program at each `ask`, waits for it no longer than `patience_s`, and kills it after `timeout_s`.

    An answer that comes later than `patience_s` is handed out by the next `ask`.
    """

    def __init__(self, argv: Sequence[str], *, timeout_s: float = 5.0, patience_s: float = 0.25) -> None:
        self.argv, self.timeout_s, self.patience_s = tuple(argv), timeout_s, patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._output = b""

    def ask(self, now: float) -> str:
        """What the program wrote. Raises Unreadable when it is missing, slow, fails, writes garbage or without end."""
        if self._process is None:
            self._start(now)
        if self._drained():
            return self._collect()
        if (waited_s := now - self._started) >= self.timeout_s:
            self.close()
            raise Unreadable(f"{self.argv[0]}: no answer for {waited_s:.0f} s")
        raise NotYet(f"{self.argv[0]}: not answered yet")

    def close(self) -> None:
        """Kill and reap a program that still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        if process.stdout:
            process.stdout.close()
        with suppress(subprocess.TimeoutExpired):  # it hangs in a disk that does not answer; later ones reap it
            process.wait(timeout=self.patience_s)

    def _start(self, now: float) -> None:
        try:
            process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as err:
            raise Unreadable(f"{self.argv[0]}: {err.strerror or err}") from err
        os.set_blocking(_output(process).fileno(), False)
        self._process, self._started, self._output = process, now, b""

    def _drained(self) -> bool:
        """True once the program closed its output, which is when it ended."""
        fd = _output(given(self._process, "the program")).fileno()
        until = time.monotonic() + self.patience_s
        while (left_s := until - time.monotonic()) > 0 and select.select([fd], [], [], left_s)[0]:
            data = os.read(fd, _LONGEST)
            if not data:
                return True
            self._output += data
            if len(self._output) > _LONGEST:
                self.close()
                raise Unreadable(f"{self.argv[0]}: wrote more than {_LONGEST >> 10} KiB")
        return False

    def _collect(self) -> str:
        process, self._process = given(self._process, "the program"), None
        _output(process).close()
        try:
            code = process.wait(timeout=self.patience_s)
        except subprocess.TimeoutExpired:  # closed its output and stays: nothing we asked for
            process.kill()
            code = process.wait()
        try:
            output = self._output.decode("utf-8").strip()
        except UnicodeDecodeError as err:
            raise Unreadable(f"{self.argv[0]}: garbled ({self._output[:20]!r})") from err
        if code != 0:
            last = output.splitlines()[-1] if output else f"exit code {code}"
            raise Unreadable(f"{self.argv[0]}: {last[:200]}")
        return output


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    return given(process.stdout, "the output of the program")
