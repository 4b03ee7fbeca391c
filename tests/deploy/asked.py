"""Runs a program on a terminal and types passwords when it asks for them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_QUESTION = re.compile(rb"password[^\n]*: ?$", re.IGNORECASE)


def run(argv: Sequence[str], answers: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """Run a program, and return its exit code and all output of the terminal; each question gets the next answer."""
    left = [*answers]
    here, there = pty.openpty()
    with subprocess.Popen(
        argv, stdin=there, stdout=there, stderr=there, env=env, cwd=cwd, start_new_session=True
    ) as process:
        os.close(there)
        output = b""
        with suppress(OSError):  # a terminal raises this when the other end is closed
            while chunk := os.read(here, 4096):
                output += chunk
                if left and _QUESTION.search(output):
                    os.write(here, left.pop(0).encode() + b"\n")
                    output += b"\n"
        os.close(here)
        return process.wait(60), output.decode(errors="replace")
