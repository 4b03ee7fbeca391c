"""Imports the task modules that the configuration names; a broken one does not keep the others out."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from edge.config import Loaded


def load_tasks(loaded: Loaded) -> dict[str, str]:
    """Import every module of `tasks:`; the result is one line a module that failed.

    A module is looked for where Python looks, then beside the configuration file, then in the working folder.
    """
    for folder in (loaded.path.parent if loaded.path else None, Path.cwd()):
        if folder is not None and str(folder) not in sys.path:
            sys.path.append(str(folder))
    errors = {}
    for name in loaded.config.tasks:
        try:
            importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as err:  # a task file may even call sys.exit
            errors[name] = _one_line(err)
    return errors


def _one_line(err: BaseException) -> str:
    """What went wrong, and where in the person's file."""
    text = " ".join(str(err).split()) or "no reason given"
    frames = [f for f in traceback.extract_tb(err.__traceback__) if not f.filename.startswith("<")]
    last = next((f for f in reversed(frames) if f.filename not in (__file__, importlib.__file__)), None)
    if isinstance(err, SyntaxError):
        return f"{type(err).__name__}: {text}"
    where = f" ({last.filename}:{last.lineno})" if last is not None else ""
    return f"{type(err).__name__}: {text}{where}"
