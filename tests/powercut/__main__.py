"""`python -m tests.powercut --cuts N --seed S`: cut the power of the whole stack N times, and report what broke.

The exit code is 0 if every promise held, 1 if one was broken, and 2 if this machine cannot cut power. Everything is
mounted in a private mount namespace, so the kernel unmounts it whatever ends this program.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from edge.core.durable import has_free_space
from tests.powercut.verdict import Summary
from tests.powercut.volume import missing

_INSIDE = "POWERCUT_INSIDE"
_PREFIX = "edge-powercut-"


def main() -> int:
    """Parse the options, enter a private mount namespace and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.powercut", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=20, help="how many power cuts (default 20)")
    parser.add_argument("--seed", type=int, help="replay this seed (default: a new one)")
    parser.add_argument("--chunk", type=int, default=0, help="report after every CHUNK cuts; each chunk has its seed")
    parser.add_argument("--minutes", type=float, help="stop after MINUTES, even if cuts are left")
    parser.add_argument("--marathon", type=int, default=0, help="run one job of MARATHON steps, 25 a second")
    parser.add_argument("--scaling", action="store_true", help="cut while a further worker retires under load")
    parser.add_argument("--files", action="store_true", help="cut while files are uploaded")
    parser.add_argument("--newborn", action="store_true", help="cut a store that had no time to settle")
    parser.add_argument("--faults", type=int, default=0, help="inject FAULTS faults under load in place of cuts")
    parser.add_argument("--only", action="append", default=[], help="only this kind of fault (may be repeated)")
    parser.add_argument("--selftest", action="store_true", help="find each seeded bug in at most --cuts cuts")
    parser.add_argument("--flash", action="store_true", help="measure what a job makes a card write, by component")
    parser.add_argument("--quick", action="store_true", help="with --flash: few jobs, no idle minute")
    parser.add_argument("--recovery", action="store_true", help="measure power-on to accepting and to the first job")
    parser.add_argument("--graph", type=int, default=0, help="cut a board that runs a graph of GRAPH jobs")
    parser.add_argument("--pause", type=float, help="with --graph: each job sleeps PAUSE seconds")
    parser.add_argument(
        "--waiting", type=int, nargs="+", default=[0, 10_000, 100_000], help="with --recovery: this many jobs wait"
    )
    parser.add_argument("--bug", default="", help="seed one bug (tests/powercut/bugs.py); --selftest takes several")
    parser.add_argument("--json", type=Path, help="write the summary there as JSON")
    parser.add_argument("--evidence", type=Path, default=Path("powercut-evidence"), help="folder for logs of faults")
    options = parser.parse_args()
    if reason := missing():
        sys.stderr.write(f"powercut: {reason}\n")
        return 2
    if _INSIDE not in os.environ:
        argv = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", "tests.powercut"]
        os.execvpe(argv[0], argv + sys.argv[1:], os.environ | {_INSIDE: "1"})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up as after a Ctrl-C
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    with _folder() as folder:
        if options.flash:
            from tests.powercut.flash import flash

            return flash(folder, quick=options.quick, json=options.json)
        if options.recovery:
            from tests.powercut.recovery import recovery

            return recovery(folder, options.waiting)
        if options.graph:
            from tests.powercut.graph import graph

            return graph(folder, jobs=options.graph, cuts=options.cuts, seed=seed, pause_s=options.pause)
        if options.selftest:
            from tests.powercut.selftest import selftest

            return selftest(folder, seed=seed, cuts=options.cuts, evidence=options.evidence, only=options.bug)
        return _campaigns(options, folder, seed=seed, until=until)


def _campaigns(options: argparse.Namespace, folder: Path, *, seed: int, until: float | None) -> int:
    """Run one campaign, or one for each chunk with the seeds that follow `seed`; write the summaries after each."""
    count = options.faults or options.cuts
    chunk = options.chunk or count
    summaries: list[Summary] = []
    for number, first in enumerate(range(0, max(count, 1), max(chunk, 1))):
        if number and until is not None and time.monotonic() > until:
            break
        board = folder / f"board-{number}"
        board.mkdir()
        summary = _campaign(options, board, seed=seed + number, count=min(chunk, count - first), until=until)
        shutil.rmtree(board, ignore_errors=True)
        summaries.append(summary)
        sys.stdout.write(f"{summary}\n" + "".join(f"FAULT {fault}\n" for fault in summary.faults))
        sys.stdout.flush()
        if options.json is not None:
            report = summaries if options.chunk else summary
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 1 if any(summary.faults for summary in summaries) else 0


def _campaign(options: argparse.Namespace, folder: Path, *, seed: int, count: int, until: float | None) -> Summary:
    from tests.powercut.campaign import Campaign
    from tests.powercut.faults import FaultCampaign, Kind

    campaign = (FaultCampaign if options.faults else Campaign)(
        folder,
        seed=seed,
        out=sys.stdout,
        evidence=options.evidence / str(seed),
        bug=options.bug,
        newborn=options.newborn,
        marathon=options.marathon,
        scaling=options.scaling,
        files=options.files,
    )
    if not isinstance(campaign, FaultCampaign):
        return campaign.run(count, until=until)
    kinds = [Kind(name) for name in options.only] or list(Kind)
    injected = campaign.run_faults(count, kinds=kinds, until=until)
    sys.stdout.write(f"{injected} faults injected\n")
    if campaign.written_off:
        sys.stdout.write(f"{campaign.written_off} plain Celery messages were taken from the broker by a full disk\n")
    return campaign.summary()


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a temporary folder, in memory if there is room, because the latency of the real disk is not under test.

    Folders that killed runs left behind are removed first. A run that still goes on holds the lock of its folder.
    """
    shm = Path("/dev/shm")
    base = shm if shm.is_dir() and has_free_space(shm, 4 << 30) else Path(tempfile.gettempdir())
    for old in base.glob(f"{_PREFIX}*/lock"):
        with old.open("a") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old.parent, ignore_errors=True)
    made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=base, ignore_cleanup_errors=True)
    with made as folder, (Path(folder) / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
