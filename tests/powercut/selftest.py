"""Proves the rig: it finds each seeded bug within a number of cuts, and finds no fault in a board without a bug."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path

from tests.powercut.bugs import BUGS, EATMYDATA
from tests.powercut.campaign import Campaign
from tests.powercut.verdict import Summary

_CONTROL = 5  # cuts of a board without a bug, before the others
_BOARD = "board"  # all boards use one path: a copied store of RabbitMQ does not work at another path


def selftest(folder: Path, *, seed: int, cuts: int, evidence: Path, only: str = "") -> int:
    """Seed one bug after another, and print a table at the end.

    Args:
        folder: Where the boards are made.
        seed: The seed of each campaign.
        cuts: The most cuts for each bug.
        evidence: The folder for the logs of faults.
        only: Names of bugs, separated by commas; empty for all bugs.

    Returns:
        Exit code 0 if every bug was found and the board without a bug passed, else 1.
    """
    born = folder / "born.img"
    control = Campaign(_empty(folder / _BOARD), seed=seed, out=sys.stdout, evidence=evidence / "sound", born=born)
    _say("no bug: the board as it is")
    sound = control.run(0 if only else _CONTROL)
    _say(str(sound))
    missed = ["the sound board failed"] if sound.faults else []
    rows = [_row("bug", "cuts", "seconds", "seen as")]
    for name, bug in BUGS.items():
        if only and name not in only.split(","):
            continue
        if name == "eatmydata" and not _loads(EATMYDATA):
            rows.append(_row(name, "-", "-", f"NOT TRIED, {EATMYDATA} is not installed (apt install eatmydata)"))
            missed.append(name)
            continue
        _say(f"{name}: {bug.about}")
        work = _empty(folder / _BOARD)
        campaign = Campaign(
            work,
            seed=seed,
            out=sys.stdout,
            evidence=evidence / name,
            bug=name,
            born=None if bug.own_birth else born,
            marathon=bug.marathon,
            files=bug.files,
        )
        summary = campaign.run(cuts, stop_at_fault=True)
        if not summary.faults:
            missed.append(name)
        rows.append(_row(name, str(summary.cuts), f"{summary.seconds:.0f}", _seen_as(summary)))
        _say(rows[-1])
    _say("\n".join(rows))
    _say(f"seed {seed}: {'MISSED: ' + ', '.join(missed) if missed else 'every bug was found'}")
    return 1 if missed else 0


def _row(name: str, cuts: str, seconds: str, seen_as: str) -> str:
    return f"{name:<16} {cuts:>4} {seconds:>7}  {seen_as}"


def _seen_as(summary: Summary) -> str:
    """Return the first fault, and how many more there were."""
    if not summary.faults:
        return "MISSED"
    others = len(summary.faults) - 1
    return summary.faults[0] + (f" (and {others} more)" if others else "")


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
