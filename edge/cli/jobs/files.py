"""The option `--file NAME=PATH`: input files that are uploaded before the job is submitted."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.core.errors import UsageError

if TYPE_CHECKING:
    from edge.client import Client
    from edge.model import InputFile

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def named(options: Sequence[str]) -> dict[str, Path]:
    """Return the paths of `--file NAME=PATH` options. Raises UsageError."""
    found: dict[str, Path] = {}
    for text in options:
        name, equals, path = text.partition("=")
        if not equals or not _NAME.fullmatch(name) or not path:
            raise UsageError(f"--file {text[:80]!r}: expected NAME=PATH, with the NAME that the kind uses for the file")
        if name in found:
            raise UsageError(f"--file {name}: is given twice")
        found[name] = Path(path)
        if not found[name].is_file():
            raise UsageError(f"--file {name}: there is no file {path}")
    return found


def uploaded(client: Client, paths: Mapping[str, Path]) -> dict[str, InputFile]:
    """Upload the files, with a progress bar on a terminal. Return the uploaded files by their names in the job."""
    found: dict[str, InputFile] = {}
    for name, path in paths.items():
        with _bar(path.name) as show_progress:
            found[name] = client.upload(path, progress=show_progress)
    return found


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar of an upload, and yield its callback. Yields None if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    # rich is slow to import on a small machine, so it is loaded only if a bar is drawn.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    progress = Progress(TextColumn("{task.description}"), BarColumn(), *columns, console=console, transient=True)
    with progress:
        row = progress.add_task(f"reading {escape(name[:40])}", total=None)

        def show_progress(sent: int, size: int) -> None:
            progress.update(row, description=f"sending {escape(name[:40])}", completed=sent, total=size)

        yield show_progress
