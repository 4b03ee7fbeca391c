"""`make mqtt-restarts`: restart MQTT broker, gateway and a listener that plays Home Assistant, many times."""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

import click

from tests.homeassistant.restarts import Campaign


@click.command()
@click.option("--restarts", default=100, show_default=True, help="Number of restarts of each of the three.")
@click.option("--seed", type=int, help="Seed that repeats a campaign.  [default: random]")
def main(restarts: int, seed: int | None) -> None:
    """Run a campaign, and exit with 1 if entities came back too late or were left behind."""
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}: {restarts} restarts each")
    with tempfile.TemporaryDirectory() as folder:
        outcome = Campaign(Path(folder), seed=seed).run(restarts)
    for line in outcome.lines():
        click.echo(line)
    sys.exit(1 if outcome.late or outcome.ghosts or outcome.left or outcome.faults else 0)


if __name__ == "__main__":
    main()
