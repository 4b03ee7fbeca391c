"""What runs on the board from power-on: `edge up`, and a second worker beside its own.

`python -m tests.powercut.board ROOT`, as PID 2 of a PID namespace of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edge.errors import EdgeError
from edge.up.main import run


def main() -> int:
    """Run until killed, as a power cut does."""
    root = Path(sys.argv[1])
    if (root / "broker" / "password").exists():
        env = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        # It connects once the broker is up; two workers meet over one job when the broker delivers it twice.
        subprocess.Popen(
            [sys.executable, "-m", "edge.worker"],
            env=env | {"EDGE_CONFIG": str(root / "edge.yaml"), "EDGE_WORKER_NAME": "second"},
            stdin=subprocess.DEVNULL,
        )
    try:
        run(root)
    except EdgeError as err:
        sys.stderr.write(f"board: {err}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
