"""`edge schedule`, the group of the commands about periodic jobs."""

from __future__ import annotations

import click

from edge.cli.schedules.apply import apply
from edge.cli.schedules.change import add, pause, resume, rm, run
from edge.cli.schedules.preview import next_times
from edge.cli.schedules.show import list_schedules, show


@click.group()
def schedule() -> None:
    """Make, show and change schedules: the board submits a job at the times of a cron expression or at an interval."""


for command in (list_schedules, show, add, rm, run, pause, resume, apply, next_times):
    schedule.add_command(command)
