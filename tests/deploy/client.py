"""Plays a laptop that reaches the board only by the `edge` command with a token."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.client.settings import Settings

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()"


@dataclass(frozen=True)
class Client:
    """Runs `edge` against the gateway at `address`:`port`, in the network namespace `netns` if one is named."""

    address: str
    secrets: Path
    home: Path
    port: int = 8420
    netns: str = ""
    board: str = "edge-board"
    token: str = "laptop"

    @property
    def settings(self) -> Settings:
        """The settings for `edge.client`; usable only without a network namespace."""
        token = (self.secrets / f"{self.board}-{self.token}.token").read_text().strip()
        return Settings(self.url, token, self.secrets / f"{self.board}-ca.pem", patience_s=60.0)

    @property
    def url(self) -> str:
        """The address of the gateway."""
        return f"https://{self.address}:{self.port}"

    def edge(self, *argv: str, check: bool = True) -> str:
        """Run the command, and return its output. Raises AssertionError with the output if it fails and `check`."""
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "EDGE_URL": self.url,
            "EDGE_CA_FILE": str(self.secrets / f"{self.board}-ca.pem"),
        }
        if self.token:
            env["EDGE_TOKEN_FILE"] = str(self.secrets / f"{self.board}-{self.token}.token")
        done = self._run([str(Path(sys.executable).with_name("edge")), *argv], env)
        assert not check or done.returncode == 0, f"edge {argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def reaches(self, port: int) -> bool:
        """Return True if the board accepts a connection from the LAN on `port`."""
        return self._run([sys.executable, "-c", _CONNECT, self.address, str(port), "1"], {}).returncode == 0

    def _run(self, argv: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        enter = ["ip", "netns", "exec", self.netns] if self.netns else []
        inside = [*enter, "env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=300)
