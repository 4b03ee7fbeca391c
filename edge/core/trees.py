"""Removes a folder that a job's program has filled."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_MOST_S = 600.0


def remove(folder: Path) -> None:
    """Remove `folder` with all its content. Files that cannot be removed stay. Never raises.

    The caller makes sure that no process writes into the folder any more. Links are removed, never followed.
    """
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
        return
    # Some folders have no permission to enter, or are nested too deeply for Python or for the length of a path. chmod
    # and rm use descriptors instead of long paths.
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
