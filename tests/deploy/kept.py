"""Keeps the card of a deployed machine, so that the next run with the same sources and settings begins with it."""

from __future__ import annotations

import hashlib
import shutil

from tests.deploy.controller import Controller
from tests.deploy.emulated import Emulated
from tests.deploy.root import cache


class KeptCard:
    """The card that a playbook of exactly these sources and `settings` has made of a bare one."""

    def __init__(self, board: Emulated, controller: Controller, settings: str) -> None:
        self._board, self._clients = board, controller.clients
        digest = hashlib.sha256(f"{board.bare.name} {settings}".encode())
        for path in sorted(controller.source.rglob("*")):
            if path.is_file():
                name = path.relative_to(controller.source)
                digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
        self._all = f"deployed-{board.arch.name}-{board.suite}-"
        self._folder = cache() / f"{self._all}{digest.hexdigest()[:8]}"

    def take(self) -> str | None:
        """Put a copy of the card into the board, which is off. Return the figures of its deployment, or None."""
        if not self._folder.exists():
            return None
        self._board.take_card(self._folder)
        shutil.copytree(self._folder / "clients", self._clients)
        return (self._folder / "said.txt").read_text()

    def keep(self, said: str) -> None:
        """Keep the card of the board, which is off, with the files for its clients; remove those of other sources."""
        for old in cache().glob(f"{self._all}*"):
            shutil.rmtree(old)
        part = self._folder.with_suffix(".part")
        part.mkdir()
        self._board.copy_card(part)
        shutil.copytree(self._clients, part / "clients")
        (part / "said.txt").write_text(said)
        part.rename(self._folder)
