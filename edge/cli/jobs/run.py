"""`edge run` runs a program on the board with local files, shows its output, and fetches its files."""

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
    """Keeps all words that are not options of `edge run` itself, because only the board knows the options of a kind."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let click read only the options of `edge run`, and keep the other words. After `--` all words are kept."""
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
@click.option("--in", "inputs", multiple=True, metavar="[NAME=]FILE", help="An input file; may be repeated.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Fetch the output files into DIR."
)
@click.option("--detach", is_flag=True, help="Print the id of the job and do not wait.")
@click.option("--quiet", is_flag=True, help="Do not show the output of the program.")
@click.option(
    "--timeout", type=Number(min=0), metavar="SECONDS", help="Wait at most this long (exit 6); the job continues."
)
@click.option(
    "--power",
    metavar="CLASS",
    type=click.Choice(["always", "normal", "surplus"]),
    help="Power that it needs to start: always (any), normal or surplus. [default: the kind's own]",
)
@click.option("--time-limit", type=Number(min=0, min_open=True), metavar="SECONDS", help="End the program after this.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key and job sent twice make one job.")
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
    """Run a program that the board allows, show its output, and fetch its files.

    \b
    edge run transcode clip.mov --width 640 --out ./result
    edge run --in clip.mov --out ./result -- ffmpeg -i clip.mov clip.mp4

    The second form needs `allow_any` on the board and a token of scope run.
    """
    from edge.model import Power, Submission  # like HTTP below, not loaded for `edge run --help`

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
    """Return the parameters and the files in the words after KIND. Raises UsageError."""
    properties = kind.schema.get("properties", {})
    parameters: JsonObject = {}
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
            raise UsageError(f"no such option {option}; the kind {kind.name!r} has {known}")
        wanted = properties[name].get("type")
        if not equals and wanted == "boolean":
            value = "true"
        elif not equals:
            if not left:
                raise UsageError(f"option {option} needs a value")
            value = left.pop(0)
        parameters[name] = _value(value, wanted)
    return parameters, paths


def _value(text: str, wanted: object) -> JsonValue:
    """Return a word as JSON, or as text if it is none or text is wanted. The board checks the type."""
    if wanted == "string":
        return text
    import json  # only loaded for a value that is not text

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _argv(words: list[str]) -> JsonObject:
    if not words:
        raise UsageError("edge run --: expected a program")
    return {"argv": words}


def _with_names(kind: TaskView, paths: list[str]) -> list[str]:
    """Return the files as NAME=PATH, with the names of the kind's inputs in their order. Raises UsageError."""
    names = list(kind.inputs or {})
    if kind.inputs is not None and len(paths) > len(names):
        takes = ", ".join(names) or "none"
        raise UsageError(f"{paths[len(names)]!r} is one file too many; the kind {kind.name!r} takes: {takes}")
    return [f"{name}={path}" for name, path in zip(names, paths, strict=False)] if kind.inputs is not None else paths


def _upload(client: Client, inputs: list[str]) -> dict[str, InputFile]:
    """Upload the files of `[NAME=]PATH` words. Return them by the names of the inputs. Raises UsageError."""
    files: dict[str, InputFile] = {}
    for number, text in enumerate(inputs, 1):
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
    """Show the output of the program until it has ended. Return the exit code of the command."""
    from edge.cli.jobs.progress import waited  # only loaded to wait
    from edge.cli.jobs.result import show

    if not session.as_json:
        output.note(job_id)
    threads = [] if quiet else [_printer(client, job_id, "stdout"), _printer(client, job_id, "stderr")]
    found = waited(session, client, job_id, timeout=timeout)
    for thread in threads:
        thread.join(5.0)  # the output ends shortly after the job; do not wait longer for a slow stream
    saved = []
    if out is not None and not found.failure:
        out.mkdir(parents=True, exist_ok=True)
        saved = [client.download(job_id, file.name, out) for file in found.files]
    if session.as_json or found.failure or quiet:
        return show(session, found, saved=saved, files_requested=out is not None)
    for path in saved:
        output.note(f"saved {path}")
    if found.files and out is None:
        output.note(f"{len(found.files)} files; fetch with: edge result {job_id} --save DIR")
    return 0


def _printer(client: Client, job_id: str, stream: str) -> threading.Thread:
    """Start and return a thread that copies a stream of the program to the stream of the same name here."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    is_terminal = target.isatty()

    def copy() -> None:
        try:
            for chunk in client.output(job_id, stream=stream, follow=True, on_cut=cut):
                # A terminal gets no control characters, because the program must not control it. A pipe gets all bytes.
                if is_terminal:
                    target.write(output.shown(chunk.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")))
                else:
                    target.buffer.write(chunk)
                target.flush()
        except (EdgeError, OSError) as err:
            output.note(f"{stream} is not shown any more: {err}")

    def cut(missing: int) -> None:
        output.note(f"[... {missing} bytes of {stream} cut ...]")

    thread = threading.Thread(target=copy, name=stream, daemon=True)
    thread.start()
    return thread
