"""`python -m tests.schedules.cuts`: cut the power of a board with 50 schedules and a jumping clock, many times.

The ledger is on ext4 over the disk of `tests/powercut`, which loses unsynced data. After each cut every slot must have
one fate, and every job that was announced for a slot must be in the ledger, once.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from tests.powercut.volume import Volume, missing
from tests.schedules.audit import Ran, announced, faults
from tests.schedules.board import Orders

_INSIDE = "SCHEDULE_CUTS_INSIDE"
_TODAY = 1_795_900_000.0
_HOUR_S, _YEAR_S = 3600.0, 365.25 * 86_400
_READY_S = 60.0


def main() -> int:
    """Cut, check and print; return 1 if a promise was broken, 2 if this machine cannot cut power, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules.cuts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if reason := missing():
        click.echo(f"schedule-cuts: {reason}", err=True)
        return 2
    if _INSIDE not in os.environ:
        argv = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", "tests.schedules.cuts"]
        os.execvpe(argv[0], argv + sys.argv[1:], os.environ | {_INSIDE: "1"})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-schedule-cuts-") as folder:
        found, promised, decided = cut(Path(folder), cuts=options.cuts, seed=options.seed)
    for fault in found[:20]:
        click.echo(fault)
    click.echo(
        f"seed {options.seed}: {options.cuts} cuts in {time.monotonic() - began:.0f} s, {len(promised)} slots ran;"
        f" records of slots: {dict(decided)}; {len(found)} wrong"
    )
    return 1 if found else 0


def cut(folder: Path, *, cuts: int, seed: int) -> tuple[list[str], Ran, Counter[str]]:
    """Return the faults, the slots that ran, and the number of records by fate; the same seed gives the same plan."""
    volume = Volume(folder)
    volume.format()
    promised, found, wall, records = Ran(), list[str](), _TODAY, Counter[str]()
    for number in range(cuts):
        chance = random.Random(f"{seed} {number}")
        volume.attach()
        try:
            root = volume.mount / "root"
            root.mkdir(exist_ok=True)
            wall += chance.choice([1.0, 20.0, _HOUR_S, 3 * 86_400.0])  # how long the power was off
            orders = _orders(chance, root, wall)
            lines = _life(volume, orders, chance)
        finally:
            volume.detach()
        wall = orders.jumps[-1][1] if orders.jumps else orders.wall
        wall = max(wall, _TODAY) if abs(wall - _TODAY) < 20 * _YEAR_S else _TODAY
        promised |= announced(lines)
        volume.attach()
        try:
            wrong = list(faults(volume.mount / "root" / "ledger.sqlite", promised))
        except Exception as err:
            wrong = [f"the ledger cannot be read: {err!r}"]
        finally:
            volume.detach()
        found += [f"cut {number}: {each}" for each in wrong]
        if wrong and len(found) > 20:
            break
    volume.attach()
    with suppress(Exception):
        from edge.ledger.reader import LedgerReader

        with LedgerReader.open(volume.mount / "root" / "ledger.sqlite") as ledger:
            for row in ledger.schedules.page(limit=999):
                records.update(slot.fate.value for slot in ledger.schedules.slots(row.uid, limit=1 << 30))
    volume.detach()
    return found, promised, records


def _orders(chance: random.Random, root: Path, wall: float) -> Orders:
    """Plan one run: the clock is right, not set or slow; it may be set once or twice, sometimes wrong by years."""
    kind = chance.choice(["right", "right", "unset", "behind", "jumps"])
    start, jumps = wall, list[tuple[float, float]]()
    if kind == "unset":
        start = 3600.0
        jumps = [(chance.uniform(0.1, 1.2), wall)]
    elif kind == "behind":
        start = wall - chance.choice([30.0, _HOUR_S, 86_400.0])
        jumps = [(chance.uniform(0.1, 1.2), wall)]
    elif kind == "jumps":
        wrong = wall + chance.choice([-9 * _YEAR_S / 10, -_HOUR_S, _HOUR_S, 40.0, _YEAR_S, 9 * _YEAR_S])
        jumps = [(chance.uniform(0.1, 0.6), wrong)]
        if chance.random() < 0.7:
            jumps.append((chance.uniform(0.7, 1.5), wall + 2))
    return Orders(str(root), chance.randrange(1 << 30), start, tuple(jumps))


def _life(volume: Volume, orders: Orders, chance: random.Random) -> list[str]:
    """Start the board, cut its power, and return the lines that it had printed by then."""
    printed = volume.folder / "printed"
    with printed.open("w") as out, (volume.folder / "log").open("a") as log:
        argv = [sys.executable, "-m", "tests.schedules.board", msgspec.json.encode(orders).decode()]
        board = subprocess.Popen(argv, stdout=out, stderr=log)
        try:
            deadline = time.monotonic() + _READY_S
            early = chance.random() < 0.2  # cut while the board starts
            while not early and '"ready"' not in printed.read_text() and board.poll() is None:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            if chance.random() < 0.5:  # cut at one of the next writes or flushes, otherwise after a while
                volume.disk.arm(chance.choice(["write", "flush"]), chance.randint(1, 60), seed=orders.seed)
            time.sleep(chance.uniform(0.0, 2.5))
            volume.cut(orders.seed)
        finally:
            board.kill()
            board.wait()
    return printed.read_text().splitlines()


if __name__ == "__main__":
    sys.exit(main())
