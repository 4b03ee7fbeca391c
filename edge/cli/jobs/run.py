"""`edge run` runs a program on the board with local files, shows its output, and fetches the files it leaves."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from edge.client import Client
    from edge.core.values import JsonObject, JsonValue
    from edge.model import InputFile
    from edge.wire import TaskView

#: The kind of job that runs any program.
_ANY = "run"


class RunCommand(click.Command):
    """Keeps the words behind the options of `edge run` as they are: those of the kind are known by the board alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort options of `edge run` before the rest; all behind a `--` is a program with its arguments."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        takes_value = {name: not param.is_flag for param in params for name in (*param.opts, *param.secondary_opts)}
        options, words, left = list[str](), list[str](), list(args)
        while left:
            word = left.pop(0)
            name = word.partition("=")[0]
            if word == "--":
                words += [word, *left]
                break
            if name not in takes_value:
                words.append(word)
                continue
            options.append(word)
            if word == name and takes_value[name] and left:
                options.append(left.pop(0))
        ctx.meta["edge.words"] = words
        return super().parse_args(ctx, options)


@click.command(cls=RunCommand, options_metavar="[OPTIONS] KIND [FILE]... [--PARAMETER VALUE]... | -- PROGRAM [ARG]...")
@click.option("--in", "inputs", multiple=True, metavar="[NAME=]FILE", help="A file that it is given; may be repeated.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Fetch the files it leaves to DIR."
)
@click.option("--detach", is_flag=True, help="Print the id of the job and do not wait.")
@click.option("--quiet", is_flag=True, help="Do not show what it prints.")
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="Give up waiting then (exit 6); it goes on.")
@click.option("--power", type=click.Choice(["always", "normal", "surplus"]), metavar="CLASS", help="When it may start.")
@click.option("--time-limit", type=Number(min=0, min_open=True), metavar="SECONDS", help="End it then.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key and job twice make one job.")
@common
@pass_session
@click.pass_context
def run(
    ctx: click.Context,
    session: Session,
    *,
    inputs: tuple[str, ...],
    out: Path | None,
    detach: bool,
    quiet: bool,
    timeout: float | None,
    power: str | None,
    time_limit: float | None,
    key: str | None,
) -> int:
    """Run a program that the board allows, show what it prints, and fetch what it leaves.

    \b
    edge run transcode clip.mov --width 640 --out ./result
    edge run --in clip.mov --out ./result -- ffmpeg -i clip.mov clip.mp4

    The second form needs `allow_any` on the board and a token of scope run.
    """
    from edge.model import Power, Submission  # with HTTP below: not for `edge run --help`

    words: list[str] = ctx.meta["edge.words"]
    if not words or words == ["--"]:
        raise UsageError("edge run: expected KIND, or -- PROGRAM; `edge tasks` lists the kinds")
    with session.client() as client:
        paths = list[str]()
        if words[0] == "--":
            kind, arguments = _ANY, _argv(words[1:])
        else:
            kind = words[0]
            view = client.task(kind)
            arguments, paths = ({}, words[1:]) if view is None else sorted_words(view, words[1:])
            if view is not None:
                paths = _with_names(view, paths)
        files = _upload(client, [*paths, *inputs])
        submission = Submission(
            kind, [], arguments, Power(power) if power else None, time_limit_s=time_limit, files=files
        )
        job = client.submit_one(submission, key=key)
        if detach:
            output.document(job.view) if session.as_json else click.echo(job.id)
            return 0
        return _followed(session, client, job.id, out=out, quiet=quiet or session.as_json, timeout=timeout)


def sorted_words(kind: TaskView, words: list[str]) -> tuple[JsonObject, list[str]]:
    """The parameters and the files that the words behind KIND stand for. Raises UsageError."""
    properties = kind.schema.get("properties", {})
    given: JsonObject = {}
    paths, left = list[str](), list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--") or word == "--":
            paths.append(word)
            continue
        option, equals, value = word.partition("=")
        name = option[2:].replace("-", "_")
        if name not in properties:
            known = ", ".join(f"--{each}" for each in properties) or "none"
            raise UsageError(f"no such option {option}; of the kind {kind.name!r} there are {known}")
        wanted = properties[name].get("type")
        if not equals and wanted == "boolean":
            value = "true"
        elif not equals:
            if not left:
                raise UsageError(f"option {option} needs a value")
            value = left.pop(0)
        given[name] = _value(value, wanted)
    return given, paths


def _value(text: str, wanted: object) -> JsonValue:
    """The value that a word stands for; the board says what it thinks of one that does not fit."""
    if wanted == "string":
        return text
    import json  # only where a value is no text

    try:
        return json.loads(text)
    except ValueError:
        return text


def _argv(words: list[str]) -> JsonObject:
    if not words:
        raise UsageError("edge run --: expected a program")
    return {"argv": words}


def _with_names(kind: TaskView, paths: list[str]) -> list[str]:
    """The files by place, with the names of the kind's inputs."""
    names = list(kind.inputs or {})
    if kind.inputs is not None and len(paths) > len(names):
        takes = ", ".join(names) or "none"
        raise UsageError(f"{paths[len(names)]!r} is one file too many; the files of the kind {kind.name!r}: {takes}")
    return [f"{name}={path}" for name, path in zip(names, paths, strict=False)] if kind.inputs is not None else paths


def _upload(client: Client, given: list[str]) -> dict[str, InputFile]:
    """Upload each file; returns them by the names of the inputs."""
    files: dict[str, InputFile] = {}
    for number, text in enumerate(given, 1):
        name, equals, path = text.partition("=")
        if not equals or not name.isidentifier() or Path(text).exists():
            name, path = f"file{number}", text
        if name in files:
            raise UsageError(f"input {name!r} is given twice")
        if not Path(path).is_file():
            there = "a folder" if Path(path).is_dir() else "not a plain file" if Path(path).exists() else "no such file"
            raise UsageError(f"{path}: {there}")
        files[name] = client.upload(Path(path))
    return files


def _followed(
    session: Session, client: Client, job_id: str, *, out: Path | None, quiet: bool, timeout: float | None
) -> int:
    """Show what the program prints until it has ended; returns the exit code of the command."""
    from edge.cli.jobs.progress import waited  # only for who waits
    from edge.cli.jobs.result import show

    if not session.as_json:
        output.note(job_id)
    threads = [] if quiet else [_printer(client, job_id, "stdout"), _printer(client, job_id, "stderr")]
    found = waited(session, client, job_id, timeout=timeout)
    for thread in threads:
        thread.join(5.0)  # the output ends shortly after the job; a slow stream must not hold the command up
    saved = []
    if out is not None and not found.failure:
        out.mkdir(parents=True, exist_ok=True)
        saved = [client.download(job_id, file.name, out) for file in found.files]
    if session.as_json or found.failure or quiet:
        return show(session, found, saved=saved, fetched=out is not None)
    for path in saved:
        output.note(f"saved {path}")
    if found.files and out is None:
        output.note(f"{len(found.files)} files; fetch with: edge result {job_id} --save DIR")
    return 0


def _printer(client: Client, job_id: str, stream: str) -> threading.Thread:
    """A thread that writes a stream of the program to ours of the same name."""
    ours = sys.stdout if stream == "stdout" else sys.stderr
    steered = ours.isatty()

    def copy() -> None:
        try:
            for chunk in client.output(job_id, stream=stream, follow=True, on_cut=cut):
                # A program must not steer the terminal it is shown on; a pipe gets its bytes.
                if steered:
                    ours.write(output.shown(chunk.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")))
                else:
                    ours.buffer.write(chunk)
                ours.flush()
        except (EdgeError, OSError) as err:
            output.note(f"{stream} is not shown any more: {err}")

    def cut(missing: int) -> None:
        output.note(f"[... {missing} bytes of {stream} cut ...]")

    thread = threading.Thread(target=copy, name=stream, daemon=True)
    thread.start()
    return thread
