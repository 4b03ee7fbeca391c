"""Runs the governor without loading the CLI's libraries: `python -m edge.power [CONFIG]`, as a systemd unit does."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.config import load
from edge.core.errors import EdgeError
from edge.power.governor.main import main

if __name__ == "__main__":
    try:
        sys.exit(main(load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
    except EdgeError as err:
        print(f"edge power: {err}", file=sys.stderr)  # noqa: T201 - a unit's stderr is its journal
        sys.exit(err.exit_code)
