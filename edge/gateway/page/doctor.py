"""Shows the findings of `edge doctor` to an admin. A button starts the checks, which run in a separate process."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec
from aiohttp import web

from edge.gateway.http.problems import Busy
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit

_RUN_S = 60.0
_MAX_BYTES = 1024


class Finding(msgspec.Struct, frozen=True):
    """One line of `edge doctor --json`."""

    level: str
    part: str
    text: str
    advice: str = ""


class DoctorView:
    """Shows `/doctor` and runs the checks. Runs on the event loop.

    The checks run in another process, because they load a dozen libraries that the gateway must not keep in memory.
    """

    def __init__(self, rendering: Rendering, config_path: Path | None) -> None:
        self._rendering, self._config_path = rendering, config_path
        self._findings: tuple[Finding, ...] = ()
        self._at: float | None = None
        self._running = False

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page with the findings of the last run."""
        return self._rendering.page(visit, "doctor.html", findings=self._findings, at=self._at)

    async def run(self, visit: Visit) -> web.StreamResponse:
        """Run the checks now. Raises Busy if they run already, take too long or cannot be read."""
        await visit.form(max_bytes=_MAX_BYTES)
        if self._running:
            raise Busy("the checks run already; look again in a moment", retry_after_s=5)
        self._running = True
        try:
            self._findings = await _findings(self._config_path)
            self._at = time.time()
        finally:
            self._running = False
        return redirect("/doctor")


async def _findings(config_path: Path | None) -> tuple[Finding, ...]:
    env = dict(os.environ)
    if config_path is not None:
        env["EDGE_CONFIG"] = str(config_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "edge.cli.main", "doctor", "--json"),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_RUN_S):
            out, err = await process.communicate()
    except TimeoutError as fault:
        raise Busy(f"`edge doctor` did not end within {_RUN_S:g} s") from fault
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return tuple(msgspec.json.decode(line, type=Finding) for line in out.splitlines())
    except (ValueError, RecursionError) as fault:
        last = (err.decode(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
        raise Busy(f"the output of `edge doctor` cannot be read: {last[:200]}") from fault
