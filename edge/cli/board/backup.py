"""`edge backup` packs a whole board into one file, and `edge restore` unpacks it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.text import size

_FILE = click.Path(path_type=Path, dir_okay=False)
_EVERY_S = 2.0


class _Meter:
    """Writes a line with files and bytes to stderr every two seconds, for a person who waits."""

    def __init__(self, verb: str, *, quiet: bool) -> None:
        self._verb, self._quiet = verb, quiet
        self._files = self._bytes = 0
        self._next = time.monotonic() + _EVERY_S

    def __call__(self, files: int, size_bytes: int) -> None:
        self._files += files
        self._bytes += size_bytes
        if not self._quiet and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            output.note(f"{self._verb} {self._files} files, {size(self._bytes)}")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@common
@pass_session
def backup(session: Session, *, file: Path, force: bool) -> int:
    """Pack the state of this board into FILE: jobs, schedules, files, results, checkpoints, tokens, configuration.

    The files are the input files of jobs, the files of results, and those that kinds of job keep between jobs.


    The board keeps running meanwhile. FILE is compressed if its name ends in gz. It contains tokens, and arguments and
    results of jobs: keep it as safe as the board. It contains a job of a plain Celery client only if that job has
    ended.
    """
    from edge.backup import pack  # needs the device extra, which a client does not have

    manifest = pack.backup(
        session.board(), file.absolute(), advance=_Meter("packed", quiet=session.as_json), replace=force
    )
    summary = pack.summary(manifest)
    if session.as_json:
        output.document({"file": str(file), **summary})
    else:
        shown = size(file.stat().st_size)
        click.echo(
            f"{file}: {manifest.jobs} jobs, {manifest.open_jobs} of them open, {summary['files']} files, {shown}"
        )
    return 0


@click.command()
@click.argument("file", type=_FILE)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="State root in which edge.yaml lies, as with `edge up`. [default: the root in edge.yaml]",
)
@click.option("--set-aside", is_flag=True, help="First move the present state to a folder named before-restore-N.")
@click.option("--keep-tokens", is_flag=True, help="Keep the tokens that are valid now, in addition to the backup's.")
@common
@pass_session
def restore(session: Session, *, file: Path, root: Path | None, set_aside: bool, keep_tokens: bool) -> int:
    """Restore this board, which must be stopped, from the backup FILE. Its open jobs run once the board is started.

    The whole file is checked before anything is changed. An existing edge.yaml stays as it is; that of the backup is
    written next to it.
    """
    from edge.backup.restore import restore as unpack  # needs the device extra
    from edge.core.layout import Layout

    if root is not None:
        layout, config = Layout(root.absolute(), root.absolute() / "run"), root.absolute() / "edge.yaml"
    else:
        loaded = session.board()
        if loaded.path is None:
            raise UsageError("there is no edge.yaml here; name it with --config, or the state root with --root DIR")
        layout, config = loaded.config.layout, loaded.path
    meter = _Meter("unpacked", quiet=session.as_json)
    done = unpack(file.absolute(), layout, config, advance=meter, set_aside=set_aside, keep_tokens=keep_tokens)
    if session.as_json:
        output.document(
            {
                "root": str(layout.root),
                "aside": done.aside and str(done.aside),
                "config": done.config and str(done.config),
            }
        )
        return 0
    if done.manifest is None:
        # ansible/restore.yml looks for the last words.
        click.echo(f"{layout.root}: finished the restore that was interrupted before; {file} was not looked at")
    else:
        jobs, still = done.manifest.jobs, done.manifest.open_jobs
        click.echo(f"{layout.root}: {jobs} jobs, {still} of them open, as of {output.when(done.manifest.made_at)}")
    if done.aside is not None:
        output.note(f"the previous state is in {done.aside}")
    if done.config is not None:
        output.note(f"the backup's configuration is in {done.config}")
    sys.stdout.flush()
    return 0
