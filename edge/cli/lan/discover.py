"""`edge discover` lists the boards that announce a gateway on the LAN by mDNS."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import click

from edge.cli import output
from edge.cli.lan.machine import config_folder
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError

_TYPE = "_edge-worker._tcp.local."


@dataclass(frozen=True)
class FoundBoard:
    """A gateway as it announces itself."""

    name: str
    url: str
    addresses: tuple[str, ...]
    paired: bool = False  # True if a client file of this machine names this URL
    awake_at: float | None = None  # the board goes to sleep and is awake again at this time, in seconds since 1970


@click.command(short_help="Find boards on the LAN.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 60),
    metavar="SECONDS",
    default=3.0,
    show_default=True,
    help="How long to listen.",
)
@common
@pass_session
def discover(session: Session, *, seconds: float) -> int:
    """List the boards that announce a gateway on the LAN, ready for `edge pair`. Exits 1 if there is none."""
    known = _known_urls()
    found = [replace(one, paired=one.url in known) for one in _found(seconds)]
    if session.as_json:
        output.document(found)
    elif found:
        rows = [(one.name, one.url, ", ".join(one.addresses), "yes" if one.paired else "no") for one in found]
        output.table(("BOARD", "URL", "ADDRESS", "PAIRED"), rows)
        for one in found:
            if one.awake_at:
                output.note(f"{one.name} goes to sleep, and is awake again at {output.when(one.awake_at)}")
        if not all(one.paired for one in found):
            output.note("`edge pair URL` asks a board for access")
    else:
        output.note(f"no board announced itself within {seconds:g} s")
    return 0 if found else 1


def _known_urls() -> frozenset[str]:
    """Return the addresses in the client files of this machine."""
    from edge.client.settings import url_in  # loads YAML

    try:
        files = sorted(config_folder().glob("*.yaml"))
    except (UsageError, OSError):
        return frozenset()
    return frozenset(url for file in files if (url := url_in(file)) is not None)


def _found(seconds: float) -> list[FoundBoard]:
    try:
        from zeroconf import ServiceBrowser, ServiceListener, Zeroconf  # of the extra `discover`: boards do not need it
    except ImportError as err:
        raise UsageError("discovery needs zeroconf: pip install 'edge-worker[discover]'") from err

    class Names(ServiceListener):
        def __init__(self) -> None:
            self.names: set[str] = set()

        def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002 - zeroconf's signature
            self.names.add(name)

        def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
            self.names.add(name)

        def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
            self.names.discard(name)

    with Zeroconf() as zeroconf:
        listener = Names()
        ServiceBrowser(zeroconf, _TYPE, listener)
        time.sleep(seconds)
        infos = [zeroconf.get_service_info(_TYPE, name) for name in sorted(listener.names)]
    found = []
    for info in infos:
        if info is not None and info.server:
            scheme = (info.properties.get(b"scheme") or b"https").decode()
            host = info.server.rstrip(".")
            found.append(
                FoundBoard(
                    host.removesuffix(".local"),
                    f"{scheme}://{host}:{info.port}",
                    tuple(info.parsed_addresses()),
                    awake_at=_time(info.properties.get(b"awake")),
                )
            )
    return found


def _time(text: bytes | None) -> float | None:
    """Return `text` as seconds since 1970, or None if it is not a time. Anybody on the LAN may send any text."""
    return float(text) if text and text.isdigit() and len(text) <= 12 else None
