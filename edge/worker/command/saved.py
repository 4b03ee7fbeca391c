"""The folder EDGE_CHECKPOINT: files that a program writes there survive power cuts, and its next attempt finds them.

The program must replace its files by renaming, as any program that has to survive a cut. The worker makes changed files
durable within a few seconds, for the first 10,000 files. It records the change in the job's checkpoint, so that the
attempt counts as progress after a power cut.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge.core import durable

_MOST_FILES, _DEEPEST = 10_000, 64


class SavedFolder:
    """The checkpoint folder of one job. Belongs to the thread of the body."""

    def __init__(self, path: Path, *, note: Callable[[object], object]) -> None:
        """Take the path of the folder, which need not exist yet.

        `note(state)` stores a description of the folder durably. It differs if one of the first 20 files has changed.
        """
        self.path, self._note = path, note
        self._state = self._look() if path.is_dir() else ()

    def prepare(self) -> None:
        """Make the folder. Raises OSError."""
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)

    def sync(self) -> None:
        """Make the files durable that have changed since the last call. A disk error loses only this progress."""
        state = self._look()
        if state == self._state:
            return
        with suppress(OSError):
            folders = {self.path, self.path.parent}
            for name, *_ in state:
                path = self.path / name
                _sync(path)
                folders.update(path.parents[: len(Path(name).parents)])
            for folder in folders:
                durable.sync_folder(folder)
            self._state = state
            # The note must differ, and 20 files keep it small. A change in other files does not count as progress.
            self._note({"files": [list(each) for each in state[:20]]})

    def close(self) -> None:
        """Remove the folder if it is empty."""
        with suppress(OSError):
            self.path.rmdir()

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        found = list[tuple[str, int, int]]()
        depth = str(self.path).count(os.sep)
        with suppress(OSError):
            for top, folders, names in os.walk(self.path):
                folders.sort()
                if top.count(os.sep) - depth >= _DEEPEST:
                    folders.clear()  # `os.walk` is recursive, and deeper folders could exceed Python's limit
                for name in sorted(names):
                    path = os.path.join(top, name)  # noqa: PTH118 - many
                    with suppress(OSError, ValueError):
                        state = os.lstat(path)
                        if not stat.S_ISREG(state.st_mode):
                            continue
                        relative = os.path.relpath(path, self.path)
                        relative.encode()
                        found.append((relative, state.st_size, state.st_mtime_ns))
                if len(found) >= _MOST_FILES:
                    break
        return tuple(found)


def _sync(path: Path) -> None:
    """Sync a plain file. A pipe that the program put there must not block this, and a link is not followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
