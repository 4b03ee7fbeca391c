"""Checks the input files of jobs: whether one is lost, and how much disk space they use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.core.errors import EdgeError
from edge.core.layout import Layout
from edge.core.text import size as in_words


def files(layout: Layout) -> Iterator[Finding]:
    """Check that no input file is lost, and how much disk space they use. Yields nothing if there are no files."""
    from edge.ledger.reader import LedgerReader  # loaded on a board only
    from edge.results.incoming import Incoming
    from edge.results.inputs import Inputs

    inputs = Inputs(layout.files)
    try:
        stored = {sha256: inputs.size(sha256) or 0 for sha256 in inputs.stored()}
        unfinished = [size for _, size, _ in Incoming(inputs).all()]
        with closing(LedgerReader.open(layout.ledger)) as opened:
            wanted = opened.wanted_files()
    except (EdgeError, OSError):
        return  # the checks of the disk and the ledger report this
    if lost := sorted(wanted - stored.keys()):
        text = f"{len(lost)} input files of open jobs or schedules are lost, such as {lost[0]}"
        yield fail(
            "files",
            text,
            "their jobs will fail with the code no-input, unless files with the same content are uploaded",
        )
    if not stored and not unfinished:
        return
    taken, disk = sum(stored.values()) + sum(unfinished), os.statvfs(layout.files)
    text = f"{len(stored)} input files, {len(unfinished)} unfinished uploads, {in_words(taken)}"
    if taken > disk.f_blocks * disk.f_frsize / 2:
        advice = "open jobs keep their files: let them end, or cancel some; then lower gateway.files.max_bytes"
        yield warn("files", f"{text}, more than half of the disk", advice)
    elif not lost:
        yield ok("files", text)
