"""`edge power calibrate` measures the watts that the board draws at rest and for each busy core."""

from __future__ import annotations

import time

import click

from edge.cli import output
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.errors import StorageError


@click.command(short_help="Measure the board's watts with its shunt monitor, in 3 min.")
@click.option(
    "--minutes",
    type=Number(0.5, 60),
    metavar="MINUTES",
    default=3.0,
    show_default=True,
    help="Time for all steps, from rest to all cores.",
)
@click.option("--dry-run", is_flag=True, help="Measure and show, but keep nothing.")
@common
@pass_session
def calibrate(session: Session, *, minutes: float, dry_run: bool) -> int:
    """Measure and keep the watts that the board draws at rest, and the watts that each busy core adds.

    The command loads no core, then one, up to all cores. It needs a shunt monitor, and once is enough: the energy of
    jobs is later estimated from these numbers when nothing measures it. Run `edge pause` first: running jobs would
    spoil the measurement.
    """
    from edge.power.energy import calibrate as measure  # loaded on a board only
    from edge.power.energy import calibration
    from edge.power.energy.load import Load
    from edge.power.sleep import worker_activity

    config = session.board().config
    meter, load, steps = measure.BoardMeter(config.power, config.layout), Load(), dict[int, float]()
    try:
        for step in measure.measured(
            load, meter.read, total_s=minutes * 60, disturbed=lambda: worker_activity.running_job(config.layout)
        ):
            steps[step.busy] = step.watts
            if not session.as_json:
                cores = f"{step.busy} busy core{'' if step.busy == 1 else 's'}"
                output.note(f"{cores}: {step.watts:.2f} W ({step.samples} values)")
    finally:
        load.close()
    found = measure.fitted(steps, at=time.time())
    if not dry_run:
        path = config.layout.calibration
        try:
            calibration.write(path, found)
        except OSError as err:
            raise StorageError(f"cannot write {path}", err) from err
    if session.as_json:
        output.document(found)
        return 0
    output.facts(
        [
            ("at rest", f"{found.idle_watts:.2f} W"),
            ("a busy core", f"{found.cpu_watts:.2f} W more"),
            ("off by", f"{found.error_percent:.1f} % at most"),
        ]
    )
    if config.worker.cpu_watts is not None:
        output.note(f"worker.cpu_watts ({config.worker.cpu_watts:g}) in edge.yaml is used instead of the second number")
    return 0
