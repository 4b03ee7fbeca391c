"""Programs of the rig's load: `commands:` of the board's configuration, and what the oracle can foretell of each.

A program makes its file in two halves. The first one is in its checkpoint before the second one begins, so that an
attempt after a cut goes on there. `halves` makes both itself; the second half of `joined` is a file that came with the
job.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge.model import Artifact, Result
from edge.worker.command import sandbox
from tests.powercut.jobs import file_content

PROGRAMS = frozenset({"halves", "joined"})
#: The file that each leaves.
OUTPUT = "made.bin"
_LINES = 4000
# It syncs before it renames: a new name of a file that was not synced may stand for nothing after a cut.
_SCRIPT = f"""
set -e
number=$1 out=$2 input=$3 size=$4
cd "$EDGE_CHECKPOINT"
if [ ! -f first ]; then
    yes "$number/first" | head -n {_LINES} >new
    sync new
    mv new first
fi
cat first >"$out"
echo "EDGE_PROGRESS 1/2"
sleep 0.05
if [ -n "$input" ]; then
    [ "$(stat -L -c %s "$input")" = "$size" ]
    cat "$input" >>"$out"
else
    yes "$number/second" | head -n {_LINES} >>"$out"
fi
"""


def can_run() -> bool:
    """True when this machine can make a sandbox: nothing is run without one."""
    bwrap = sandbox.bubblewrap()
    if bwrap is None:
        return False
    words = [bwrap, "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "--proc", "/proc", "--dev", "/dev"]
    as_nobody = ["setpriv", f"--reuid={sandbox.NOBODY}", "--clear-groups", "--"] if os.geteuid() == 0 else []
    return subprocess.run([*words, *as_nobody, "true"], check=False, capture_output=True, timeout=60).returncode == 0


def commands() -> list[dict[str, Any]]:
    """The `commands:` of the board."""
    number = {"type": "int", "min": 0}
    words = ["sh", "-c", _SCRIPT, "sh", "{number}", f"{{output:{OUTPUT}}}"]
    return [
        {"name": "halves", "run": words, "parameters": {"number": number}},
        {
            "name": "joined",
            "run": [*words, "{clip}", "{size}"],
            "parameters": {"number": number, "size": number},
            "inputs": {"clip": {}},
        },
    ]


def value() -> dict[str, Any]:
    """The value of each job."""
    printed = "EDGE_PROGRESS 1/2\n"
    return {"exit_code": 0, "stdout": printed, "stderr": "", "stdout_bytes": len(printed), "stderr_bytes": 0}


def output_of(kind: str, args: list[Any]) -> bytes:
    """What the file of such a job holds."""
    first, second = (f"{args[0]}/{half}\n".encode() * _LINES for half in ("first", "second"))
    return first + (file_content(*args) if kind == "joined" else second)


def wrong_files(kind: str, args: list[Any], files: tuple[Artifact, ...]) -> str:
    """What is wrong with the files that a result names; empty when nothing is."""
    content = output_of(kind, args)
    wanted = [(OUTPUT, len(content), sha256(content).hexdigest())]
    found = [(file.name, file.size_bytes, file.sha256) for file in files]
    return "" if found == wanted else f"its result names the files {found}, and {wanted} was to be made"


def torn_files(result: Result, path: Path) -> Iterator[str]:
    """What is wrong with the file of a result as it lies at `path`."""
    try:
        found = path.read_bytes()
    except OSError as err:
        yield f"file {OUTPUT}: {err.strerror}"
        return
    wanted = output_of(result.task, list(result.args))
    if found != wanted:
        halves = "its first half" if found.startswith(wanted[: len(found)]) else "other bytes"
        yield f"file {OUTPUT} is torn: {len(found)} of {len(wanted)} bytes, {halves}"
    elif sha256(found).hexdigest() != result.files[0].sha256:
        yield f"file {OUTPUT}: its hash is not what the result says"
