"""Checks if the appliance on this board works, by what it does and not by what is installed.

It runs with the system's Python, so that it can judge a broken release too. If all is well, it removes the mark of an
unfinished run and exits with 0. Otherwise it prints the reasons and exits with 1.
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
    """Return what is wrong now, a sentence each, and True if waiting is useless because a unit has failed for good."""
    found, over = [], False
    shown = subprocess.run(
        ["systemctl", "show", "--property=Id,ActiveState,SubState,Result", *units],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for block in filter(None, shown.split("\n\n")):
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
        found.append(f"power is unknown: {power.get('reason', 'the governor has written no status')}")
    workers = [read(path) for path in RUN.glob("worker-*.json")]
    connected = any(worker.get("state") in ("idle", "paused", "running", "held") for worker in workers)
    if "edge-worker.service" in units and not connected:
        states = ", ".join(f"{w.get('name')} {w.get('state')}" for w in workers)
        found.append(f"no worker is connected to the broker: {states or 'no worker has written a status'}")
    return found, over


def gateway_faults(url: str, ca: str) -> list[str]:
    """Return what is wrong with the gateway at `url`; an empty `ca` turns off the check of its certificate."""
    try:
        trust = ssl.create_default_context(cafile=ca or None)
        if not ca:  # with edge_tls given, the certificate is valid for the board's name, not for loopback
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"{url}/v1/healthz", timeout=5, context=trust) as answer:  # noqa: S310 - our own
            return [] if answer.status == 200 else [f"the gateway answers {answer.status}"]
    except (OSError, urllib.error.URLError) as err:
        return [f"the gateway at {url} does not answer: {err}"]


def read(path: Path) -> dict[str, str]:
    """Return the JSON in a file, or an empty dict if the file cannot be read."""
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def main() -> int:
    """Check until all is well or the time is over; return the exit code."""
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
