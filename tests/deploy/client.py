"""A laptop on the board's LAN: the bare `edge` command with a token, and nothing else of the board."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.lan import Lan

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()"


@dataclass(frozen=True)
class Client:
    """Runs `edge` in the client's namespace."""

    lan: Lan
    secrets: Path
    home: Path
    board: str = "edge-board"
    token: str = "laptop"

    def edge(self, *argv: str, check: bool = True) -> str:
        """What the command prints. Raises AssertionError with its words when it fails."""
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "EDGE_URL": f"https://{self.lan.board_lan}:8420",
            "EDGE_CA_FILE": str(self.secrets / f"{self.board}-ca.pem"),
        }
        if self.token:
            env["EDGE_TOKEN_FILE"] = str(self.secrets / f"{self.board}-{self.token}.token")
        done = self._run([str(Path(sys.executable).with_name("edge")), *argv], env)
        assert not check or done.returncode == 0, f"edge {argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def reaches(self, port: int) -> bool:
        """True when the board accepts a connection from the LAN on `port`."""
        return self._run([sys.executable, "-c", _CONNECT, self.lan.board_lan, str(port), "1"], {}).returncode == 0

    def _run(self, argv: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        inside = ["ip", "netns", "exec", self.lan.client, "env", "-i", *(f"{k}={v}" for k, v in env.items()), *argv]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=300)
