"""Removes a folder that a stranger's program has filled."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_MOST_S = 600.0


def remove(folder: Path) -> None:
    """Remove `folder` with all in it. What cannot be removed stays; never raises.

    No process may write into it any more. Links are removed, never followed.
    """
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
        return
    # Folders that nobody may enter, or nested deeper than Python or a path can follow: these walk by descriptors.
    for words in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*words, "--", str(folder)],
                check=False,
                timeout=_MOST_S,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
