"""`make demo`: the whole way of one job, from an empty folder to a result file, with what each step took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from edge.client import Client, Settings
from edge.errors import EdgeError, StackError
from edge.jobs.results import Results
from edge.layout import Layout
from edge.model import JobState
from edge.up.background import Background
from edge.up.hint import how_to_submit, short

QUESTION = "What is 50 divided by 2?"
RESULT_S = 120.0


class Steps:
    """What each step took; printed in order, dotted like a bill."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, float]] = []

    def add(self, name: str, seconds: float) -> None:
        """One more step."""
        self._rows.append((name, seconds))

    def table(self) -> str:
        """The bill."""
        return "\n".join(f"  {name + ' ':.<34} {seconds:8.3f} s" for name, seconds in self._rows)


def solve(url: str, root: Path, steps: Steps) -> None:
    """Submit one sum as a LAN client would, wait, and print where its result lies. Raises EdgeError."""
    with Client(settings=Settings(url=url)) as client:
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
        results = Results(Layout(root, root / "run"))
        click.echo(f"\n  {result.value}\n")
        click.echo(f"  result file:    {short(results.path(job.id))}")
        for artifact in result.files:
            click.echo(f"  {artifact.name + ':':<15} {short(results.artifact(result, artifact.name))}")


@click.command()
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(".edge"), show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway.")
@click.option("--since", type=float, help="When the set-up began, in seconds since the epoch.")
@click.option("--keep", is_flag=True, help="Leave the stack running.")
def main(root: Path, port: int | None, since: float | None, *, keep: bool) -> None:
    """Start the stack, solve one sum over HTTP, say what each step took, stop the stack."""
    steps = Steps()
    if since is not None:
        steps.add("environment", max(0.0, time.time() - since))
    root = root.absolute()
    log = root / "up.log"
    try:
        root.mkdir(parents=True, exist_ok=True)
        click.echo(f"starting the stack on {short(root)} (log: {short(log)})")
        up = Background(root, log, ["--port", str(port)] if port else [])
        steps.add("broker up", float(up.news["X_EDGE_BROKER_S"]))
        steps.add("gateway up", float(up.news["X_EDGE_GATEWAY_S"]))
        steps.add("worker up (beside the gateway)", float(up.news["X_EDGE_WORKER_S"]))
        kept = False
        try:
            solve(up.news["X_EDGE_URL"], root, steps)
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
        submit, curl = how_to_submit(up.news["X_EDGE_URL"])
        click.echo(
            f"left running at {up.news['X_EDGE_URL']}; stop it with `make demo-stop`. Try:\n\n  {submit}\n\n  {curl}"
        )


if __name__ == "__main__":
    main(prog_name="demo")
