"""`edge schedule`: the group of the commands about periodic jobs."""

from __future__ import annotations

import click

from edge.cli.schedules.preview import next_times


@click.group()
def schedule() -> None:
    """Jobs that the board makes again and again, at the times of a cron expression or at an interval."""


schedule.add_command(next_times)
