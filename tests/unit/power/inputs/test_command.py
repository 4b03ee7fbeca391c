"""Programs that sources run for a reading."""

from __future__ import annotations

import os
import resource
import time

import pytest

from edge.power.inputs.command import Command


def test_a_process_with_many_open_files_reads_a_program() -> None:
    """select(2) knows only descriptors up to 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    command = Command(["echo", "charge 80"], patience_s=20.0)
    try:
        assert command.ask(time.monotonic()) == "charge 80"
    finally:
        command.close()
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
