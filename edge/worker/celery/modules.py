"""Imports the task modules that the configuration names. A broken module does not keep the others from loading."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from edge.config import Loaded

#: Time limit for the import of one module, on a small board with a cold card.
IMPORT_S = 30.0


def load_tasks(loaded: Loaded, *, before: Callable[[str], None] = lambda _name: None) -> dict[str, str]:
    """Import every module of `tasks:`. Call it in the main thread.

    A module is looked up on Python's path, then in the folder of the configuration file, then in the working folder.

    Args:
        loaded: the configuration.
        before: called with the name of each module before its import. An import may even end this process.

    Returns:
        The name of each module that failed, and one line that says why.
    """
    for folder in (loaded.path.parent if loaded.path else None, Path.cwd()):
        if folder is not None and str(folder) not in sys.path:
            sys.path.append(str(folder))
    errors = {}
    for name in loaded.config.tasks:
        before(name)
        try:
            with _within(IMPORT_S):
                importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as err:  # a task file may even call sys.exit
            errors[name] = _one_line(err)
    return errors


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside a block that does not end within `seconds`."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"its import did not end within {seconds:g} s")

    earlier = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def _one_line(err: BaseException) -> str:
    """Return the error and its place in the task file as one line."""
    text = " ".join(str(err).split()) or "no reason given"
    frames = [f for f in traceback.extract_tb(err.__traceback__) if not f.filename.startswith("<")]
    last = next((f for f in reversed(frames) if f.filename not in (__file__, importlib.__file__)), None)
    if isinstance(err, SyntaxError):
        return f"{type(err).__name__}: {text}"
    where = f" ({last.filename}:{last.lineno})" if last is not None else ""
    return f"{type(err).__name__}: {text}{where}"
