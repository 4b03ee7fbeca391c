"""`make screenshot`: take the picture of the page in README.md, from a real board with a simulated battery."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

from edge.client import Client
from edge.up.background import Background
from edge.up.broker.ports import free_ports
from edge.up.settings import settings
from tests.docs.pages import TOP

PICTURE = TOP / "docs/images/page.png"
MOST_BYTES = 60_000
_SIZE = {"width": 900, "height": 450}
_READY_S = 30.0


def main() -> None:
    """Start a board, submit jobs, and take the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
    if browser is None:
        sys.exit("no chromium: .ci/setup test installs it")
    with tempfile.TemporaryDirectory(prefix="edge-screenshot-") as folder, _board(Path(folder)) as url:
        _give_work(url)
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = opened.new_page(viewport=_SIZE, color_scheme="light")  # type: ignore[arg-type]
            page.goto(url)
            page.wait_for_timeout(1500)
            page.screenshot(path=PICTURE)
            opened.close()
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE.relative_to(TOP)}: {size:,} bytes\n")
    if size > MOST_BYTES:
        sys.exit(f"larger than {MOST_BYTES:,} bytes")


@contextmanager
def _board(folder: Path) -> Iterator[str]:
    """Run `edge up` with a battery of 71 % until the block ends, and yield the address of the page."""
    battery = folder / "power_supply/BAT0"
    battery.mkdir(parents=True)
    shown = {"type": "Battery", "present": "1", "capacity": "71", "voltage_now": "3925000", "current_now": "-620000"}
    for name, text in (shown | {"status": "Discharging"}).items():
        (battery / name).write_text(text + "\n")
    (folder / "temp").write_text("48300\n")
    root = folder / "state"
    port, broker_port = free_ports(2)
    path = settings(root, port=port, broker_port=broker_port, env={}).path
    assert path is not None
    tree = yaml.safe_load(path.read_text())
    tree["power"]["sources"] = [
        {"kind": "power_supply", "name": "battery", "root": str(battery.parent)},
        {"kind": "temperature", "path": str(folder / "temp")},
    ]
    path.write_text(yaml.safe_dump(tree))
    os.environ["EDGE_CONFIG"] = str(path)
    with ExitStack() as stack:
        up = Background(root, folder / "up.log")
        stack.callback(up.stop)
        yield f"http://127.0.0.1:{port}"


def _give_work(url: str) -> None:
    """Submit jobs that end, one that runs, and some that wait; return once the job that runs reports progress."""
    with Client(url) as board:
        for question in ("What is 50 divided by 2?", "15% of 200", "three hundred times two"):
            board.submit("solve", 1, question).wait(60)
        board.submit("solve", 1, "200 + 15%").wait(60)  # it can be read in two ways, so it fails
        board.submit("factorial", 20_000).wait(60)
        running = board.submit("primes", 2_000_000_000)
        for _ in range(3):
            board.submit("factorial", 50_000, power="surplus")
        board.submit("solve", 1, "6 times 7", delay_s=7200)
        deadline = time.monotonic() + _READY_S
        while not (progress := board.job(running.id).progress) or progress.done <= 0:
            if time.monotonic() > deadline:
                sys.exit("the job that should run does not")
            time.sleep(0.2)


if __name__ == "__main__":
    main()
