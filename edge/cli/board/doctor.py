"""`edge doctor`: everything a board needs, looked at once, with what to do about it."""

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
    """Check broker, ledger, folders, disk, clock and versions; say what to do.

    Where there is no edge.yaml (and none is named), only what a client needs is checked. Exits 1 when a line says FAIL.
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
    """What every check found, in the order in which faults explain later ones."""
    from edge.cli.board.checks import (
        files,
        machine,
        mqtt,
        parts,
        state,  # a dozen libraries, for this command alone
    )
    from edge.cli.board.checks.finding import fail, ok

    client = session.client(quick=True)
    try:
        loaded = session.board()
    except ConfigError as err:
        yield fail("config", str(err), "mend it; `edge config check` says whether it can be used")
        yield from machine.clock()
        return
    if loaded.path is None:
        yield ok("config", "no edge.yaml here: this is no board, so only the client is checked")
        yield from machine.clock()
        yield from parts.gateway(client)
        return
    config = loaded.config
    yield ok("config", str(loaded.path))
    yield from machine.versions()
    yield from machine.clock()
    yield from machine.disk(config.root)
    if config.run == _APPLIANCE_RUN:  # elsewhere no unit has limits
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
        from edge.broker.routes import known_queues  # kombu: the device extra

        yield from parts.broker(config.broker, more=() if node else known_queues(config))
    except ImportError as err:
        yield fail("broker", f"cannot be asked: {err.name} is missing", "pip install 'edge-worker[device]'")
    yield from parts.power(config.layout)
    yield from parts.sleep(config.power)
    if not node:
        yield from mqtt.broker(config)
    yield from parts.workers(config.layout, _listed(config))
    if node:
        yield from parts.head(config.node)
        return
    if session.url is None and not _elsewhere():
        session.url = f"{config.gateway.scheme}://{_reachable(config.gateway.host)}:{config.gateway.port}"
        try:
            client = session.client(quick=True, certificate=config.gateway.tls_cert)
        except ConfigError as err:
            yield fail("gateway", str(err), "gateway.tls_cert has to be readable; sudo edge doctor")
            return
    yield from parts.gateway(client)


def _listed(config: Config) -> list[WorkerEntry]:
    """The workers that are to be there by name: those of the list, else the one of threads where it is wanted."""
    from edge.model import KnownQueues, WorkerPool  # not for `edge --help`

    io = bool(KnownQueues.read(config.layout.queues).io)
    planned = [entry for entry in config.planned(io=io) if not entry.scaled]
    return [entry for entry in planned if config.workers or entry.pool is WorkerPool.THREADS]


def _elsewhere() -> bool:
    """True when the environment names a gateway: then that one is meant, not the board's own."""
    import os  # a look at one variable

    return bool(os.environ.get("EDGE_URL"))


def _reachable(host: str) -> str:
    """The address to ask of a gateway that listens on `host`."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
