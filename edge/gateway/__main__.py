"""Starts the gateway without the libraries of the CLI: `python -m edge.gateway [CONFIG]`, as a unit file does."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.config import load
from edge.core.errors import EdgeError
from edge.gateway.main import main

if __name__ == "__main__":
    try:
        sys.exit(main(load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
    except EdgeError as err:
        print(f"edge gateway: {err}", file=sys.stderr)  # noqa: T201 - the stderr of a unit goes to the journal
        sys.exit(err.exit_code)
