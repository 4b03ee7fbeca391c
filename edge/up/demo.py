"""Runs `make demo`: one job from an empty folder to its result file, with the duration of each step.

Then power falls. A job waits, shows the reason, and runs when power is back.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from edge.client import Client, Settings
from edge.config import Config
from edge.core.errors import EdgeError, StackError
from edge.model import JobState
from edge.power.governor import pause
from edge.power.simulate import simulate
from edge.results.store import Results
from edge.up.background import Background
from edge.up.hint import how_to_submit, short
from edge.up.settings import settings

QUESTION = "What is 50 divided by 2?"
RESULT_S = 120.0
DIP_S = 20.0
_SIMULATED = "[{kind: simulated, start: normal}]"


class Steps:
    """Collects the duration of each step, in order."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, float]] = []

    def add(self, name: str, seconds: float) -> None:
        """Add a step."""
        self._rows.append((name, seconds))

    def table(self) -> str:
        """Return the steps as lines of text."""
        return "\n".join(f"  {name + ' ':.<34} {seconds:8.3f} s" for name, seconds in self._rows)


def client_of(url: str, config: Config) -> Client:
    """Return a client that trusts the certificate of the gateway, if it has one."""
    return Client(settings=Settings(url=url, ca_file=config.gateway.tls_cert))


def solve(url: str, config: Config, steps: Steps) -> None:
    """Submit one sum as a client on the LAN would, wait for it, and print the path of its result. Raises EdgeError."""
    with client_of(url, config) as client:
        started = time.monotonic()
        job = client.submit("solve", 1, QUESTION)
        steps.add("submit -> 202 (durable)", time.monotonic() - started)
        accepted = time.time()
        result = job.wait(RESULT_S)
        noticed = time.time()
        if result.state is not JobState.SUCCEEDED:
            reason = result.failure.message if result.failure else result.state.value
            raise StackError(f"the job ended as {result.state}: {reason}")
        steps.add("queue (202 -> start)", max(0.0, (result.started_at or accepted) - accepted))
        steps.add("run", result.seconds)
        steps.add("result (durable -> client has it)", max(0.0, noticed - result.finished_at))
        results = Results(config.layout)
        click.echo(f"\n  {result.value}\n")
        click.echo(f"  result file:    {short(results.path(job.id))}")
        for artifact in result.files:
            click.echo(f"  {artifact.name + ':':<15} {short(results.artifact(result, artifact.name))}")


def dip(url: str, config: Config, steps: Steps) -> None:
    """Let power fall, submit a job, print why it waits, and let power rise again. Raises EdgeError.

    On a board with real sources, a pause takes the place of low power.
    """
    fall: Callable[[], object] = partial(pause.set_pause, config.layout.pause, by="the demo")
    rise: Callable[[], object] = partial(pause.clear, config.layout.pause)
    if os.environ.get("EDGE_POWER_SOURCES") == _SIMULATED:
        fall = partial(simulate, config.power, config.layout, "low")
        rise = partial(simulate, config.power, config.layout, None)
    with client_of(url, config) as client:
        fall()
        try:
            deadline = time.monotonic() + DIP_S
            while client.status().power.state not in ("low", "paused"):
                if time.monotonic() > deadline:
                    raise StackError(f"power did not fall within {DIP_S:g} s")
                time.sleep(0.05)
            job = client.submit("solve", 2, QUESTION)
            click.echo(f"\n  power falls; a job waits: {client.job(job.id).waiting}")
            started = time.monotonic()
        finally:
            rise()
        job.wait(RESULT_S)
        steps.add("power back -> client has it", time.monotonic() - started)
        click.echo("  power is back: it has run")


@click.command()
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(".edge"), show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway.")
@click.option("--since", type=float, help="When the set-up began, in seconds since the epoch.")
@click.option("--keep", is_flag=True, help="Leave the stack running.")
def main(root: Path, port: int | None, since: float | None, *, keep: bool) -> None:
    """Start the stack, solve one sum over HTTP, show the duration of each step, and stop the stack."""
    steps = Steps()
    if since is not None:
        steps.add("environment", max(0.0, time.time() - since))
    root = root.absolute()
    log = root / "up.log"
    try:
        root.mkdir(parents=True, exist_ok=True)
        click.echo(f"starting the stack on {short(root)} (log: {short(log)})")
        config = settings(root, port=port).config
        if not keep and not config.power.sources:  # a stack that stays must not run on simulated power
            os.environ["EDGE_POWER_SOURCES"] = _SIMULATED
            config = settings(root, port=port).config
        up = Background(root, log, ["--port", str(port)] if port else [])
        steps.add("broker up", float(up.news["X_EDGE_BROKER_S"]))
        steps.add("gateway up (beside the broker)", float(up.news["X_EDGE_GATEWAY_S"]))
        steps.add("worker up", float(up.news["X_EDGE_WORKER_S"]))
        kept = False
        try:
            solve(up.news["X_EDGE_URL"], config, steps)
            dip(up.news["X_EDGE_URL"], config, steps)
            kept = keep
        finally:
            if not kept:
                started = time.monotonic()
                up.stop()
                steps.add("stop", time.monotonic() - started)
    except (EdgeError, OSError) as err:
        click.echo(f"demo: {err}", err=True)
        sys.exit(getattr(err, "exit_code", 1))
    click.echo(f"\n{steps.table()}\n")
    if kept:
        up.keep()
        submit, curl = how_to_submit(up.news["X_EDGE_URL"], certificate=config.gateway.tls_cert)
        click.echo(
            f"left running at {up.news['X_EDGE_URL']}; stop it with `make demo-stop`. Try:\n\n  {submit}\n\n  {curl}"
        )


if __name__ == "__main__":
    main(prog_name="demo")
