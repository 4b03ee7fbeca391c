"""Says whether the appliance on this board works, by what it does and not by what is installed.

Runs with the system's Python, so that a broken release can be judged too. Exit code 0: all is well, and
the mark of an unfinished run is gone; 1: the reasons.
"""

from __future__ import annotations

import argparse
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

RUN = Path("/run/edge")
MARK = Path("/run/edge-unfinished")


def faults(url: str, ca: str, units: list[str]) -> tuple[list[str], bool]:
    """What is wrong now, a sentence each; and whether that is the end, because systemd has given a unit up."""
    found, over = [], False
    states = subprocess.run(
        ["systemctl", "show", "--property=Id,ActiveState,SubState,Result", *units],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for block in filter(None, states.split("\n\n")):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        over = over or unit.get("ActiveState") == "failed"
        if unit.get("ActiveState") != "active":
            found.append(
                f"{unit.get('Id')} is {unit.get('ActiveState')} ({unit.get('SubState')}, {unit.get('Result')})"
            )
    if url:
        found += gateway_faults(url, ca)
    power = read(RUN / "power.json")
    if power.get("state", "unknown") == "unknown":
        found.append(f"power is unknown: {power.get('reason', 'the governor wrote no file')}")
    workers = [read(path) for path in RUN.glob("worker-*.json")]
    connected = any(worker.get("state") in ("idle", "paused", "running", "held") for worker in workers)
    if "edge-worker.service" in units and not connected:
        said = ", ".join(f"{w.get('name')} {w.get('state')}" for w in workers)
        found.append(f"no worker is connected to the broker: {said or 'no worker spoke'}")
    return found, over


def gateway_faults(url: str, ca: str) -> list[str]:
    """What is wrong with the gateway; a node has none."""
    try:
        trust = ssl.create_default_context(cafile=ca or None)
        if not ca:  # a given certificate is for the board's name, not for loopback
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"{url}/v1/healthz", timeout=5, context=trust) as answer:  # noqa: S310 - our own
            return [] if answer.status == 200 else [f"the gateway answers {answer.status}"]
    except (OSError, urllib.error.URLError) as err:
        return [f"the gateway at {url} does not answer: {err}"]


def read(path: Path) -> dict[str, str]:
    """The file as JSON; nothing where it cannot be read."""
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def main() -> int:
    """Look until all is well or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", default="")
    parser.add_argument("--wait", type=float, default=60.0)
    parser.add_argument("units", nargs="+")
    options = parser.parse_args()
    deadline = time.monotonic() + options.wait
    while True:
        found, over = faults(options.url, options.ca, options.units)
        if not found:
            MARK.unlink(missing_ok=True)
            return 0
        if over or time.monotonic() > deadline:
            sys.stderr.write("".join(f"{fault}\n" for fault in found))
            return 1
        time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
