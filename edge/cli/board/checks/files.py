"""Whether the files that jobs were given are there, and what they take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.core.errors import EdgeError
from edge.core.layout import Layout
from edge.core.text import size as in_words


def files(layout: Layout) -> Iterator[Finding]:
    """Say what the files take; nothing where there are none."""
    from edge.ledger.reader import LedgerReader  # on a board only
    from edge.results.incoming import Incoming
    from edge.results.inputs import Inputs

    inputs = Inputs(layout.files)
    try:
        stored = {sha256: inputs.size(sha256) or 0 for sha256 in inputs.stored()}
        unfinished = [size for _, size, _ in Incoming(inputs).all()]
        with closing(LedgerReader.open(layout.ledger)) as opened:
            wanted = opened.wanted_files()
    except (EdgeError, OSError):
        return  # told as a fault of the disk or the ledger
    if lost := sorted(wanted - stored.keys()):
        text = f"{len(lost)} files that open jobs or schedules were given are gone, such as {lost[0]}"
        yield fail("files", text, "their jobs will end as no-input: upload the files again before, by the same content")
    if not stored and not unfinished:
        return
    taken, disk = sum(stored.values()) + sum(unfinished), os.statvfs(layout.files)
    text = f"{len(stored)} for jobs, {len(unfinished)} unfinished uploads, {in_words(taken)}"
    if taken > disk.f_blocks * disk.f_frsize / 2:
        advice = "jobs that are open keep theirs: let them end, or cancel some; then lower gateway.files.max_bytes"
        yield warn("files", f"{text}, more than half of the disk", advice)
    elif not lost:
        yield ok("files", text)
