"""A network for one board: a wire to the controller, and a LAN with a client on it; nothing of it touches the host."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from types import TracebackType


def ip(*argv: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *argv], check=True, capture_output=True, text=True)


@dataclass
class Lan:
    """Two namespaces: the board's, with a wire to here and one to the LAN, and the client's at that one's end."""

    tag: str = field(default_factory=lambda: f"{os.getpid() % 0xFFFF:04x}")
    board_wire: str = "198.18.77.2"
    board_lan: str = "10.77.0.2"

    @property
    def board(self) -> str:
        """Name of the board's namespace."""
        return f"edge-board-{self.tag}"

    @property
    def client(self) -> str:
        """Name of the namespace of a client on the LAN."""
        return f"edge-client-{self.tag}"

    def __enter__(self) -> Lan:
        for name in (self.board, self.client):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", f"ew{self.tag}", "type", "veth", "peer", "name", "wire0", "netns", self.board)
        ip("addr", "add", "198.18.77.1/30", "dev", f"ew{self.tag}")
        ip("link", "set", f"ew{self.tag}", "up")
        ip("-n", self.board, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", self.client)
        for name, device, address in (
            (self.board, "wire0", f"{self.board_wire}/30"),
            (self.board, "lan0", f"{self.board_lan}/24"),
            (self.client, "lan0", "10.77.0.9/24"),
        ):
            ip("-n", name, "addr", "add", address, "dev", device)
            ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        for argv in (["link", "del", f"ew{self.tag}"], ["netns", "del", self.client], ["netns", "del", self.board]):
            subprocess.run(["ip", *argv], check=False, capture_output=True)
