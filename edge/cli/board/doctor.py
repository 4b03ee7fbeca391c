"""`edge doctor` checks everything that a board needs, and says what to do about each fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import ConfigError

if TYPE_CHECKING:
    from edge.cli.board.checks.finding import Finding
    from edge.config import Config, WorkerEntry

_APPLIANCE_RUN = Path("/run/edge")
_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


@click.command()
@common
@pass_session
def doctor(session: Session) -> int:
    """Check everything that the board needs; say what is wrong and what to do.

    Without an edge.yaml, only the clock and the gateway are checked. If edge.yaml is invalid, only the clock is
    checked. The exit code is 1 if a line says FAIL.
    """
    code = 0
    for finding in _findings(session):
        code = 1 if finding.level == "FAIL" else code
        if session.as_json:
            output.document(finding)
            continue
        level = click.style(f"{finding.level:<4}", fg=_COLOURS[finding.level])
        click.echo(f"{level}  {finding.part:<20}  {output.line(finding.text)}")
        if finding.advice:
            click.echo(f"{'':26}  -> {output.line(finding.advice)}")
    return code


def _findings(session: Session) -> Iterator[Finding]:
    """Yield the findings of all checks. Causes come first: an early fault explains later ones."""
    # The checks load a dozen libraries, which no other command needs.
    from edge.cli.board.checks import files, machine, mqtt, parts, state
    from edge.cli.board.checks.finding import fail, ok

    client = session.client(quick=True)
    try:
        loaded = session.board()
    except ConfigError as err:
        yield fail("config", str(err), "correct it; `edge config check` shows whether it is valid")
        yield from machine.clock()
        return
    if loaded.path is None:
        yield ok("config", "no edge.yaml here: this is not a board, so only the client is checked")
        yield from machine.clock()
        yield from parts.gateway(client)
        return
    config = loaded.config
    yield ok("config", str(loaded.path))
    yield from machine.versions()
    yield from machine.clock()
    yield from machine.disk(config.root)
    if config.run == _APPLIANCE_RUN:  # only an appliance has systemd units with memory limits
        yield from machine.memory()
    if config.commands or config.allow_any:
        yield from machine.commands(config)
    yield from state.folders(config)
    yield from state.secrets(config)
    node = config.node.head_url is not None
    if not node:
        yield from state.ledger(config.layout.ledger)
        yield from state.schedules(config.layout.ledger)
        yield from files.files(config.layout)
        yield from state.set_aside(config.root)
        yield from state.stores([config.layout.broker, state.APPLIANCE_BROKER])
        yield from parts.complaints(config.layout)
    try:
        from edge.broker.routes import known_queues  # needs kombu of the device extra

        yield from parts.broker(config.broker, more=() if node else known_queues(config))
    except ImportError as err:
        yield fail("broker", f"cannot be checked: {err.name} is missing", "pip install 'edge-worker[device]'")
    yield from parts.power(config.layout)
    yield from parts.sleep(config.power)
    if not node:
        yield from mqtt.broker(config)
    yield from parts.workers(config.layout, _expected_workers(config))
    if node:
        yield from parts.head(config.node)
        return
    if session.url is None and not _gateway_in_environment():
        session.url = f"{config.gateway.scheme}://{_reachable(config.gateway.host)}:{config.gateway.port}"
        try:
            client = session.client(quick=True, certificate=config.gateway.tls_cert)
        except ConfigError as err:
            yield fail("gateway", str(err), "run `sudo edge doctor`: this user cannot read gateway.tls_cert")
            return
    yield from parts.gateway(client)


def _expected_workers(config: Config) -> list[WorkerEntry]:
    """Return the workers that must run under their names.

    These are the entries of `workers` that are not scaled. Without that list, it is the thread worker, if a kind of job
    has the pool `io`.
    """
    from edge.model import KnownQueues, WorkerPool  # not loaded for `edge --help`

    io = bool(KnownQueues.read(config.layout.queues).io)
    planned = [entry for entry in config.planned(io=io) if not entry.scaled]
    return [entry for entry in planned if config.workers or entry.pool is WorkerPool.THREADS]


def _gateway_in_environment() -> bool:
    """Return True if the environment names a gateway. Then `edge doctor` checks that one, not the one of this board."""
    import os

    return bool(os.environ.get("EDGE_URL"))


def _reachable(host: str) -> str:
    """Return the address at which a gateway that listens on `host` can be reached from this board."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
