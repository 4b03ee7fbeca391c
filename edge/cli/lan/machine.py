"""This machine as the client of a board: what it is called there, and where it keeps what leads to it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge.core.errors import UsageError


def own_name() -> str:
    """What the token for this machine is called."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename).lstrip("._-")[:64] or "laptop"


def config_folder() -> Path:
    """The folder of the client's files. Raises UsageError where this user has no home."""
    from edge.client.settings import config_folder as find  # only commands that write there

    folder = find(os.environ)
    if folder is None:
        raise UsageError("neither HOME nor XDG_CONFIG_HOME is set, so there is no place for the client's files")
    return folder
