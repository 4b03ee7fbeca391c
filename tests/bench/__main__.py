"""`make bench`: compare the appliance with plain Celery and with a hand-made durable worker, as tables and as JSON.

All use the same broker and run the same trivial job. docs/explanation/benchmark.md explains how to read the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench import report
from tests.bench.figure import Bench, Figure
from tests.bench.plan import FULL, PLANS, QUICK
from tests.bench.registry import FIGURES

#: Width of the tables in columns; bench.json also has what does not fit.
_WIDTH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the JSON; return 1 if the measurement of a figure raised an error, else 0."""
    names = [figure.name for figure in FIGURES]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plan", choices=PLANS, default=FULL.name, help="how much is measured")
    parser.add_argument("--quick", action="store_const", dest="plan", const=QUICK.name, help="as --plan quick")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="leave all other figures out")
    options = parser.parse_args(arguments)
    chosen = [figure for figure in FIGURES if figure.name in options.only]
    began = time.monotonic()
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    broken = False
    say = Console(stderr=True).log
    with tempfile.TemporaryDirectory(prefix="edge-bench-", dir=".", ignore_cleanup_errors=True) as made:
        folder = Path(made).absolute()
        machine = report.machine(folder)
        bench = Bench(folder, PLANS[options.plan], say)
        try:
            for figure in chosen:
                if reason := why_not(figure, bench):
                    left_out[figure.name] = reason
                    continue
                say(f"{figure.name}: {figure.about}")
                try:
                    found[figure.name] = figure.measure(bench)
                except Exception as err:
                    left_out[figure.name] = f"broke: {type(err).__name__}: {err}"
                    broken = True
                    Console(stderr=True).print_exception()
        finally:
            bench.close()
            tree = report.document(options.plan, machine, found, left_out, time.monotonic() - began)
            if options.json:
                report.write(options.json, tree)
    report.show(Console(width=_WIDTH), found, chosen, tree)
    return int(broken)


def why_not(figure: Figure, bench: Bench) -> str:
    """Return why a figure is not measured in this run, or an empty text."""
    if reason := figure.missing():
        return reason
    if bench.plan.within_s is None:
        return ""
    if figure.quick_s is None:
        return "not part of a quick run"
    if figure.quick_s > bench.left_s:
        return f"no time: takes about {figure.quick_s:g} s, and {max(0.0, bench.left_s):.0f} s are left"
    return ""


if __name__ == "__main__":
    sys.exit(main())
