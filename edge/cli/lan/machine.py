"""This machine as a client of boards: its name there, and the folder of its token and certificate files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge.core.errors import UsageError


def own_name() -> str:
    """Return the default name of a token for this machine: its host name, with `-` for forbidden characters."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename).lstrip("._-")[:64] or "laptop"


def config_folder() -> Path:
    """Return the folder of the client's files. Raises UsageError if this user has no home folder."""
    from edge.client.settings import config_folder as find  # the package `edge.client` loads HTTP

    folder = find(os.environ)
    if folder is None:
        raise UsageError("neither HOME nor XDG_CONFIG_HOME is set, so there is no place for the client's files")
    return folder
