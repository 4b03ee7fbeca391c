"""`edge config` checks and shows the board's configuration, and prints an example of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.config import Config, Loaded, WorkerEntry


#: A configuration with such a path may be a pipe, which can be read only once.
_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/")


@click.group()
def config() -> None:
    """Check and show the board's configuration: edge.yaml, whose values EDGE_* variables override."""


@config.command()
@common
@pass_session
def check(session: Session) -> int:
    """Check whether the configuration is valid. If not, exit 2 with the key, its value and what is allowed."""
    from edge.power.policy.rules import from_config  # loads every kind of source that the file names

    loaded = session.board()
    from_config(loaded.config.power)  # a kind of source from another package may have rules that the governor refuses
    _check_sleep(loaded.config)
    _check_commands(loaded)
    for sentence in (*_gaps(loaded), *_lacking(loaded.config)):
        output.note(f"warning: {sentence}")
    where = str(loaded.path) if loaded.path else "no file; defaults"
    variables = sorted({origin for origin in loaded.origins.values() if origin.startswith("EDGE_")})
    if session.as_json:
        output.document({"ok": True, "path": loaded.path, "variables": variables})
    else:
        click.echo(f"ok: {where}" + (f", and {', '.join(variables)}" if variables else ""))
    return 0


def _check_commands(loaded: Loaded) -> None:
    """Raise ConfigError if a command has the name of a task: the catalogue would leave the command out."""
    path, commands = loaded.path, loaded.config.commands
    if not commands or path is None or str(path).startswith(_PIPES):
        return
    try:
        from edge.catalog.catalogue import load  # only loaded if there are commands

        errors = load(path).errors
    except (ImportError, EdgeError):  # on a laptop the modules of tasks cannot be imported
        return
    for number, command in enumerate(commands):
        if why := errors.get(f"commands {command.name}"):
            raise ConfigError(
                f"commands[{number}].name", command.name, f"expected another name: {why}", origin=str(path)
            )


def _check_sleep(config: Config) -> None:
    """Raise ConfigError if the board may sleep, but has no way to wake up again, or no sleep is worth its boot."""
    from edge.power.sleep import costs, means
    from edge.power.sleep.decide import too_short

    power = config.power
    if power.sleep.when != "never" and (why := too_short(power.sleep, costs.of(config))):
        raise ConfigError("power.sleep.max_s", power.sleep.max_s, why)
    if power.sleep.when != "never" and power.sleep.wake == "alarm" and (why := means.obstacle(power)):
        raise ConfigError("power.sleep.when", power.sleep.when, why)


@config.command()
@common
@pass_session
def show(session: Session) -> int:
    """Show every key with its current value and its origin. The origin is default, file or variable."""
    rows = list(session.board().rows())
    if session.as_json:
        output.document([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
    else:
        output.table(("KEY", "VALUE", "FROM"), [(key, _text(value), origin) for key, value, origin in rows])
    return 0


@config.command()
@common
@pass_session
def workers(session: Session) -> int:
    """Show the workers that this board should run. UNIT is the systemd unit of a worker on an appliance.

    Without a list `workers` in edge.yaml, the worker of threads is shown once the gateway has loaded a kind of job of
    the pool io.
    """
    from msgspec import to_builtins  # like the records, not loaded for `edge --help`

    from edge.model import KnownQueues

    config = session.board().config
    planned = config.planned(io=bool(KnownQueues.read(config.layout.queues).io))
    if session.as_json:
        output.document(
            [{**to_builtins(entry), "bodies": entry.bodies, "unit": _unit(config, entry)} for entry in planned]
        )
        return 0
    rows = [
        (
            entry.name,
            entry.pool,
            str(entry.bodies),
            ", ".join(entry.classes),
            ", ".join(entry.kinds),
            _unit(config, entry),
        )
        for entry in planned
    ]
    output.table(("NAME", "POOL", "BODIES", "CLASSES", "KINDS", "UNIT"), rows)
    return 0


@config.command()
def example() -> int:
    """Print a commented edge.yaml: every key with its default."""
    from edge.config.example import example as text  # loads all records, which only this command needs

    click.echo(text(), nl=False)
    return 0


def _unit(config: Config, entry: WorkerEntry) -> str:
    if entry.scaled:
        return f"edge-worker@{entry.name}-1.service and further ones, started when needed"
    return "edge-worker.service" if entry.name == config.worker.name else f"edge-worker@{entry.name}.service"


def _gaps(loaded: Loaded) -> tuple[str, ...]:
    """Return a sentence for each kind of job that no worker of the list takes, or none if tasks cannot be imported."""
    path = loaded.path
    # Another process imports the tasks, and it cannot read a pipe again.
    if not loaded.config.workers or path is None or str(path).startswith(_PIPES):
        return ()
    try:
        from edge.broker.coverage import gaps  # needs kombu of the device extra; only loaded if there is a list
        from edge.catalog.catalogue import load

        return gaps(loaded.config, load(path))
    except (ImportError, EdgeError):
        return ()


def _lacking(config: Config) -> tuple[str, ...]:
    """Return a sentence for each thing that this machine lacks to run the programs that the file allows."""
    if not config.commands and not config.allow_any:
        return ()
    from edge.worker.command.here import missing  # only loaded if there are commands

    return tuple(f"{what}; {cure}" for what, cure in missing(config))


def _text(value: object) -> str:
    """Return a value as it could be written in the file."""
    if isinstance(value, str) and value:
        return value
    import json  # JSON is valid YAML on one line

    return json.dumps(value, default=str)
