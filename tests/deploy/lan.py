"""A network for boards: a link from each to the controller, and a LAN with a client; the host keeps its network."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from types import TracebackType


def ip(*argv: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *argv], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Seat:
    """The network of one board: its namespace, its end of the link to the controller, its address on the LAN."""

    name: str
    netns: str
    device: str  # the controller's end of the link
    here: str
    wire: str
    lan: str


@dataclass
class Lan:
    """A namespace for each board and one for a client; the bridge of the LAN is in the client's namespace."""

    tag: str = field(default_factory=lambda: f"{os.getpid() % 0xFFFF:04x}")

    @property
    def client(self) -> str:
        """The name of the client's network namespace."""
        return f"edge-client-{self.tag}"

    @property
    def head(self) -> Seat:
        """The network of the first board."""
        return self._seat("edge-board", "h", 0, "10.77.0.2")

    @property
    def node(self) -> Seat:
        """The network of the second board."""
        return self._seat("edge-node", "n", 4, "10.77.0.3")

    def _seat(self, name: str, letter: str, first: int, lan: str) -> Seat:
        """Describe the network of a board; its link has a subnet for this run, because another run may be active."""
        here, wire = (f"10.77.{1 + int(self.tag, 16) % 254}.{first + host}" for host in (1, 2))
        return Seat(name, f"{name}-{self.tag}", f"ew{letter}{self.tag}", here, wire, lan)

    def __enter__(self) -> Lan:
        ip("netns", "add", self.client)
        ip("-n", self.client, "link", "set", "lo", "up")
        ip("-n", self.client, "link", "add", "lan", "type", "bridge")
        ip("-n", self.client, "addr", "add", "10.77.0.9/24", "dev", "lan")
        ip("-n", self.client, "link", "set", "lan", "up")
        for seat in (self.head, self.node):
            ip("netns", "add", seat.netns)
            ip("-n", seat.netns, "link", "set", "lo", "up")
            ip("link", "add", seat.device, "type", "veth", "peer", "name", "wire0", "netns", seat.netns)
            ip("addr", "add", f"{seat.here}/30", "dev", seat.device)
            ip("link", "set", seat.device, "up")
            ip("-n", seat.netns, "link", "add", "lan0", "type", "veth", "peer", "name", seat.name, "netns", self.client)
            ip("-n", self.client, "link", "set", seat.name, "master", "lan", "up")
            for device, address in (("wire0", f"{seat.wire}/30"), ("lan0", f"{seat.lan}/24")):
                ip("-n", seat.netns, "addr", "add", address, "dev", device)
                ip("-n", seat.netns, "link", "set", device, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        wires = [["link", "del", seat.device] for seat in (self.head, self.node)]
        names = [["netns", "del", name] for name in (self.client, self.head.netns, self.node.netns)]
        for argv in (*wires, *names):
            subprocess.run(["ip", *argv], check=False, capture_output=True)
