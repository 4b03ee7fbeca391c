"""`edge submit` submits a job, and turns the words of the command line into the arguments of its task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.board.power import Duration
from edge.cli.completion import task_names
from edge.cli.moment import Moment
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.client import Client
    from edge.client.job import Job
    from edge.core.values import JsonObject, JsonValue
    from edge.wire import TaskView

#: A word that looks like an option. It is refused if there is no such option, because it is probably mistyped.
_LIKE_AN_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=.*)?", re.DOTALL)
#: Default of `--awake-within`. A board sleeps for at most 6 hours, unless it is configured for up to a day.
_AWAKE_WITHIN_S = 86_400.0
_INFINITY = "-Infinity"  # JSON has no such number, but people write it. It is passed on, and the task checks it.


class ArgumentsCommand(click.Command):
    """Reads a word as an option only if it is the full name of an option. So `-7 plus three` can be an argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move all options before the arguments, and let click read the result. Raises UsageError."""
        takes_value = {
            name: not getattr(param, "is_flag", False)
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for name in (*param.opts, *param.secondary_opts)
        }
        options, words, left = list[str](), list[str](), list(args)
        while left:
            word = left.pop(0)
            name = word.partition("=")[0]
            if word == "--":
                words += left
                break
            if word in takes_value or (name in takes_value and name.startswith("--")):
                options.append(word)
                if word == name and takes_value[name] and left:
                    options.append(left.pop(0))
            elif word != _INFINITY and _LIKE_AN_OPTION.fullmatch(word):
                raise UsageError(f"no such option {name}; put -- before an argument that starts so")
            else:
                words.append(word)
        return super().parse_args(ctx, [*options, "--", *words])


@click.command(cls=ArgumentsCommand)
@click.argument("task", shell_complete=task_names)
@click.argument("args", nargs=-1)
@click.option("--kwarg", "kwargs", multiple=True, metavar="NAME=VALUE", help="An argument by name; may be repeated.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="NAME=PATH",
    help="Upload the file at PATH; the job reads it as NAME. A broken upload is resumed. May be repeated.",
)
@click.option("--json-args", is_flag=True, help="Each ARG and VALUE is JSON, whatever the task expects.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it as `edge result` does.")
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="With --wait: wait at most this long (exit 6).")
@click.option(
    "--power",
    metavar="CLASS",
    type=click.Choice(["always", "normal", "surplus"]),
    help="Power that it needs to start: always (any), normal or surplus. [default: the task's own]",
)
@click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="Run it again up to N times if it fails.")
@click.option("--time-limit", type=Number(min=0, min_open=True), metavar="SECONDS", help="End the job after this time.")
@click.option(
    "--deadline",
    type=Duration(),
    metavar="TIME",
    help="A surplus job may also run at normal power after this time (30m, 6h, 2d).",
)
@click.option(
    "--only-if-in-time",
    is_flag=True,
    help="With --deadline, for any class: refuse the job if it would probably end later by the forecast (exit 6).",
)
@click.option("--max-temp", type=Number(20, 125), metavar="C", help="Wait while the board is hotter than this, in °C.")
@click.option("--in", "delay", type=Duration(), metavar="TIME", help="Start it after this time (30m, 6h, 2d).")
@click.option(
    "--at",
    "not_before",
    type=Moment(),
    metavar="WHEN",
    help="Start it at this time: 17:30, '2026-12-24 17:30' (this computer's time), or RFC 3339 with an offset.",
)
@click.option("--priority", type=click.IntRange(0, 9), metavar="0-9", help="Higher ones start first; default 5.")
@click.option(
    "--unique-key", metavar="TEXT", help="If a job with this key is open, make no new job; print the id of that job."
)
@click.option("--after", multiple=True, metavar="ID", help="Start it when this job has ended; may be repeated.")
@click.option(
    "--after-failure",
    type=click.Choice(["fail", "run"]),
    metavar="fail|run",
    help="If a job of --after does not succeed: fail this job too (the default), or run it anyway.",
)
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key and job sent twice make one job.")
@click.option("--when-awake", is_flag=True, help="If the board sleeps, wait for it, then submit the job once.")
@click.option(
    "--awake-within", type=Duration(), metavar="TIME", help="With --when-awake: wait at most this long. [default: 24h]"
)
@common
@pass_session
def submit(
    session: Session,
    *,
    task: str,
    args: tuple[str, ...],
    kwargs: tuple[str, ...],
    files: tuple[str, ...],
    json_args: bool,
    wait: bool,
    timeout: float | None,
    power: str | None,
    retries: int | None,
    time_limit: float | None,
    deadline: float | None,
    only_if_in_time: bool,
    max_temp: float | None,
    delay: float | None,
    not_before: str | None,
    priority: int | None,
    unique_key: str | None,
    after: tuple[str, ...],
    after_failure: str | None,
    key: str | None,
    when_awake: bool,
    awake_within: float | None,
) -> int:
    """Submit a job of the kind TASK. Print its id once the board keeps it through any power cut.

    An ARG that is JSON (42, true, [1,2]) is read as JSON, any other ARG as text. If the task wants text, every ARG is
    text. Put -- before an ARG that looks like an option (-x, --word).

    \b
    edge submit solve 1 "What is 50 divided by 2?" --wait
    """
    from edge.cli.jobs.awake import when_awake as repeat_until_awake
    from edge.cli.jobs.files import named as named_files
    from edge.cli.jobs.files import uploaded
    from edge.model import (  # like HTTP below, not loaded for `edge submit --help`
        AfterFailure,
        Locality,
        Power,
        Submission,
        fresh_key,
    )

    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait")
    if only_if_in_time and deadline is None:
        raise UsageError("--only-if-in-time needs --deadline")
    if awake_within is not None and not when_awake:
        raise UsageError("--awake-within needs --when-awake")
    if when_awake and key is None:
        key = fresh_key(Locality().prefix())  # all tries have the same key, so they make one job
    for text in kwargs:
        _split(text)  # report a mistake of the command line before the first request
    paths = named_files(files)
    with session.client() as client:

        def send() -> Job:
            if deadline is not None and not only_if_in_time:
                _refuse_deadline(client, task, power)
            placed, named = arguments(client, task, args, kwargs, json_args=json_args)
            submission = Submission(
                task,
                placed,
                named,
                Power(power) if power else None,
                retries,
                time_limit,
                deadline,
                max_temp,
                delay_s=delay,
                not_before=not_before,
                priority=priority,
                unique_key=unique_key,
                after=after or None,
                after_failure=AfterFailure(after_failure) if after_failure else None,
                files=uploaded(client, paths),
            )
            return client.submit_one(submission, key=key, only_if_in_time=only_if_in_time)

        job = repeat_until_awake(send, within_s=awake_within or _AWAKE_WITHIN_S) if when_awake else send()
        if not wait:
            output.document(job.view) if session.as_json else click.echo(job.id)
            # No worker of this board takes the job, so it would wait forever.
            hopeless = job.view.waiting.startswith(("no worker of pool", "no worker takes"))
            if hopeless or job.view.starts is not None:
                output.note(job.view.waiting)
            return 0
        from edge.cli.jobs.progress import waited  # only loaded to wait
        from edge.cli.jobs.result import show

        if not session.as_json:
            output.note(job.id)
        return show(session, waited(session, client, job.id, timeout=timeout))


def arguments(
    client: Client, task: str, args: Sequence[str], kwargs: Sequence[str], *, json_args: bool
) -> tuple[list[JsonValue], JsonObject]:
    """Return the positional and the named arguments for the words of a command line. Raises UsageError.

    Args:
        client: asked for the types of the task's arguments, but only if a word could be JSON.
        task: the kind of job.
        args: words that are positional arguments.
        kwargs: words of the form NAME=VALUE.
        json_args: every word must be JSON, and the types of the task do not matter.
    """
    named = [_split(text) for text in kwargs]
    kind = None if json_args or not _ambiguous([*args, *(text for _, text in named)]) else _kind(client, task)
    placed = [_value(text, _schema(kind, place), strict=json_args) for place, text in enumerate(args)]
    return placed, {name: _value(text, _schema(kind, name), strict=json_args) for name, text in named}


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--kwarg {text[:80]!r}: expected NAME=VALUE")
    return name, value


def _ambiguous(words: list[str]) -> bool:
    """Return True if a word is valid JSON. Only then the types of the task's arguments matter."""
    return any(_json(word) is not _NOT_JSON for word in words)


def _kind(client: Client, task: str) -> TaskView | None:
    """Return the description of the task, or None if the board does not give it. Raises Unreachable.

    The board checks the arguments in any case.
    """
    from edge.core.errors import Unreachable

    try:
        return client.task(task)
    except Unreachable:
        raise
    except EdgeError:
        return None


def _refuse_deadline(client: Client, task: str, power: str | None) -> None:
    """Raise UsageError if the job does not wait for surplus power. A deadline has no effect on such a job."""
    if power is None:
        kind = _kind(client, task)
        power = None if kind is None else kind.power.value
    if power not in {None, "surplus"}:
        raise UsageError(f"--deadline is for jobs that wait for surplus power; this one is of class {power}")


def _schema(kind: TaskView | None, which: int | str) -> object:
    """Return the JSON Schema of an argument by its position or name, or an empty one if it is not known."""
    if kind is None:
        return {}
    if isinstance(which, int):
        if which >= len(kind.positional):
            return {}
        which = kind.positional[which]
    return kind.schema.get("properties", {}).get(which, {})


_NOT_JSON = object()


def _json(text: str) -> object:
    import msgspec  # not loaded for `edge submit --help`

    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _value(text: str, schema: object, *, strict: bool) -> object:
    """Return the value of a word: JSON, or text if it is not JSON or the schema wants text. Raises UsageError.

    With `strict`, a word that is not JSON is refused, and the schema does not matter.
    """
    value = _json(text)
    if value is _NOT_JSON:
        if strict:
            raise UsageError(f"argument {text[:80]!r}: not JSON, which --json-args needs (text needs quotes)")
        return text
    return text if not strict and isinstance(schema, dict) and schema.get("type") == "string" else value
