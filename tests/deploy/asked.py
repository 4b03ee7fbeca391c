"""A program on a terminal that asks for passwords, and somebody who types them."""

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
    """Exit code and all that the terminal showed; each question gets the next answer."""
    left = [*answers]
    here, there = pty.openpty()
    with subprocess.Popen(
        argv, stdin=there, stdout=there, stderr=there, env=env, cwd=cwd, start_new_session=True
    ) as process:
        os.close(there)
        said = b""
        with suppress(OSError):  # how a terminal says that nobody is at its other end any more
            while chunk := os.read(here, 4096):
                said += chunk
                if left and _QUESTION.search(said):
                    os.write(here, left.pop(0).encode() + b"\n")
                    said += b"\n"
        os.close(here)
        return process.wait(60), said.decode(errors="replace")
