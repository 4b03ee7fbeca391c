"""Removes a folder that a stranger's program has filled."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove `folder` with all in it, folders that nobody may enter too. What cannot be removed stays; never raises.

    No process may write into it any more. Links are removed, never followed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return
    with suppress(OSError):
        for top, folders, _ in os.walk(folder):
            for name in (".", *folders):
                path = Path(top, name)
                if not path.is_symlink():
                    with suppress(OSError):
                        path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
