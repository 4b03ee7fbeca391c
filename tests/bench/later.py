"""Measure what jobs that wait in the ledger cost an idle gateway: `python -m tests.bench.later --jobs 100000`.

Prints the figures of docs/how-to/waiting.md: the start of the gateway without and with waiting jobs, its wake-ups and
written bytes while nothing is due, how late due jobs are released, and how many jobs start before one of priority 9
that comes last. No broker is needed, because the release is called directly in place of the publisher.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge.broker.routes import Routes
from edge.config import Config, GatewayConfig
from edge.gateway.background.release import Release
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result, new_job_id
from edge.schedule.later import Later

_GATEWAY = """
import asyncio, sys, time
from pathlib import Path
from edge.catalog.catalogue import Catalogue
from edge.config import Config, GatewayConfig
from edge.gateway.app import Gateway
async def main(root):
    config = Config(root=Path(root), run=Path(root) / "run", gateway=GatewayConfig(port=0))
    gateway = Gateway(config, lambda: Catalogue({}, {}))
    await gateway.start()
    print("ready", flush=True)
    await asyncio.Event().wait()
began = time.monotonic()
asyncio.run(main(sys.argv[1]))
"""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def job(later: Later | None = None) -> NewJob:
    """A small job."""
    return NewJob(new_job_id(), "echo", ["hello"], {}, Power.NORMAL, 0, None, "me", b"", later=later)


def fill(root: Path, count: int, due_s: float) -> float:
    """Fill a ledger with `count` jobs: a hundred are due in `due_s`, then one every two hours.

    Returns:
        The time at which the hundred are due, in seconds since the epoch.
    """
    root.mkdir(parents=True, exist_ok=True)
    now = time.time()
    with LedgerWriter.open(root / "ledger.sqlite") as ledger, ledger.transaction(durable=True):
        for number in range(count):
            later = Later(not_before=now + due_s + (7200 * number if number >= 100 else 0))
            ledger.insert(job(later), now=now)
    return now + due_s


def cost(pid: int) -> tuple[int, int]:
    """Return the voluntary context switches of all threads, and the bytes written to the disk."""
    switches = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    io = Path(f"/proc/{pid}/io").read_text()
    return switches, int(io.split("write_bytes:")[1].split()[0])


def idle(count: int, *, idle_s: float, due_s: float) -> None:
    """Start a gateway whose ledger has `count` waiting jobs, and measure it while idle."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "state"
        due_at = fill(root, count, due_s)
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-c", _GATEWAY, str(root)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        _say(f"{count} waiting: ready after {time.monotonic() - began:.2f} s")
        time.sleep(5.0)  # until the first rounds of the background tasks and the copy of the ledger are done
        before = cost(process.pid)
        time.sleep(idle_s)
        after = cost(process.pid)
        _say(f"  idle {idle_s:g} s: {after[0] - before[0]} wake-ups, {after[1] - before[1]} bytes written")
        if count:
            with LedgerWriter.open(root / "ledger.sqlite") as ledger:
                while ledger.connection.query("SELECT count(*) FROM job WHERE state = 'accepted'")[0][0] < 100:
                    time.sleep(0.005)
            _say(f"  100 due together: released {time.time() - due_at:+.2f} s after")
        process.terminate()
        process.wait()


def behind(count: int) -> None:
    """Measure how many jobs of a backlog start before one of priority 9 that comes last."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = LedgerWriter.open(Path(folder) / "l")
        release = Release(Config(gateway=GatewayConfig()), routes=Routes)
        with ledger.transaction(durable=False):
            for _ in range(count):
                ledger.insert(job(), now=1.0)
        out = release.next(ledger.reader, 256, anew=True)
        release.confirmed(out)
        with ledger.transaction(durable=False):
            ledger.mark_queued([each.message_key for each in out])
            urgent = ledger.add(job(Later(priority=9)), now=1.0).job
        release.came([urgent])
        started = 0
        while True:
            began = time.perf_counter()
            more = release.next(ledger.reader, 256, anew=False)
            took = time.perf_counter() - began
            out += more
            first, *out = out
            if first.id == urgent.id:
                break
            started += 1
            result = Result(first.id, "echo", JobState.SUCCEEDED)
            with ledger.transaction(durable=False):
                ledger.mark_queued([each.message_key for each in more])
                ledger.finish_all([(result, 1)], now=1.0)
            release.confirmed(more)
            release.ended([result])
        _say(f"priority 9 behind {count}: {started} start before it; the last look took {took * 1000:.1f} ms")
        ledger.close()


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=30.0)
    options = parser.parse_args()
    _say(f"{os.cpu_count()} cores")
    for count in (0, options.jobs):
        idle(count, idle_s=options.idle, due_s=options.idle + 40.0)
    behind(options.jobs)


if __name__ == "__main__":
    main()
