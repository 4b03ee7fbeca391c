"""What a body may ask of the executor that runs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edge.core.wakeup import Wakeup
from edge.model import Progress
from edge.worker.power.meter import Usage


class JobHost(Protocol):
    """What a `Job`, or the run of a program, calls on the executor of its body. Belongs to the thread of the body."""

    def progress(self, progress: Progress) -> None:
        """Note how far the body is."""

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        """Return `path_of`, the function from the name of an artifact to its path, for use by the body."""

    def stopping(self) -> bool:
        """True when the body is to save its state now, because it ends or is held soon."""

    def shield(self) -> AbstractContextManager[None]:
        """Let nothing be raised in the body from outside inside the block."""

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return when the body may continue; raise when it is to end. The arguments are those of `Hold.check`."""

    @property
    def ending(self) -> bool:
        """True when the body is to save its state and end: the worker stops, or power is critical."""

    def waking(self, wakeup: Wakeup) -> AbstractContextManager[None]:
        """Ring `wakeup` inside the block whenever `check` may have something to say."""

    def used(self, usage: Usage) -> None:
        """Note what the program of the body used."""
