"""The protocol by which a body calls the executor that runs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edge.core.wakeup import Wakeup
from edge.model import Progress
from edge.worker.power.meter import Usage


class JobHost(Protocol):
    """The methods of an executor that a `Job` or the run of a program calls. They belong to the thread of the body."""

    def progress(self, progress: Progress) -> None:
        """Note the progress of the body."""

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        """Return `path_of`, which returns the path of an artifact by its name, in a form for the body.

        The returned function may raise if the body must end.
        """

    def stopping(self) -> bool:
        """Return True if the body must save its state now, because it will end or be held soon."""

    def shield(self) -> AbstractContextManager[None]:
        """Raise nothing from outside in the body inside the block."""

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return as soon as the body may continue; raise if it must end. The arguments are those of `Hold.check`."""

    @property
    def ending(self) -> bool:
        """True when the body must save its state and end, because the worker stops or power is critical."""

    def waking(self, wakeup: Wakeup) -> AbstractContextManager[None]:
        """Ring `wakeup` inside the block whenever a call of `check` may hold the body or raise."""

    def used(self, usage: Usage) -> None:
        """Note the resources that the body's program used."""
