"""`edge submit`: words of a command line into the arguments of a task."""

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

#: A word after TASK that has the shape of an option: refused when it is none, for it is most likely mistyped.
_LIKE_AN_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=.*)?", re.DOTALL)
#: How long to wait for a board that sleeps: it sleeps for 6 hours at most, unless configured for up to a day.
_AWAKE_WITHIN_S = 86_400.0
_INFINITY = "-Infinity"  # JSON has no such number, but people write it; the task says what it thinks of it


class ArgumentsCommand(click.Command):
    """Reads a word as an option only when it is the whole name of one: `-7 plus three` is an argument, not `-7 -h`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort options before arguments, and let click read them so."""
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
    help="A file that the job is given as NAME; uploaded first, and resumed if it broke off. May be repeated.",
)
@click.option("--json-args", is_flag=True, help="Each ARG and VALUE is JSON, whatever the task expects.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it as `edge result` does.")
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="With --wait: give up then (exit 6).")
@click.option(
    "--power",
    metavar="CLASS",
    type=click.Choice(["always", "normal", "surplus"]),
    help="When it may start: always, normal or surplus power; else the task's own.",
)
@click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="Run it again up to N times if it fails.")
@click.option("--time-limit", type=Number(min=0, min_open=True), metavar="SECONDS", help="End it then.")
@click.option(
    "--deadline",
    type=Duration(),
    metavar="TIME",
    help="With surplus power: run at normal power too once it waited so long (30m, 6h, 2d).",
)
@click.option(
    "--only-if-in-time",
    is_flag=True,
    help="With --deadline, of any class: refuse what would most likely end later, by the board's forecast (exit 6).",
)
@click.option("--max-temp", type=Number(20, 125), metavar="C", help="Wait while the board is hotter, degrees Celsius.")
@click.option("--in", "delay", type=Duration(), metavar="TIME", help="Start it after this time (30m, 6h, 2d).")
@click.option(
    "--at",
    "not_before",
    type=Moment(),
    metavar="WHEN",
    help="Start it then: 17:30, '2026-12-24 17:30' (this computer's time), or with an offset as in RFC 3339.",
)
@click.option("--priority", type=click.IntRange(0, 9), metavar="0-9", help="Higher ones start first; 5 is usual.")
@click.option("--unique-key", metavar="TEXT", help="While a job with this key is open, that job is the answer.")
@click.option("--after", multiple=True, metavar="ID", help="Start it when this job has ended; may be repeated.")
@click.option(
    "--after-failure",
    type=click.Choice(["fail", "run"]),
    metavar="fail|run",
    help="If one of those does not succeed: fail this job too (the default), or run it all the same.",
)
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key and job twice make one job.")
@click.option("--when-awake", is_flag=True, help="Wait for a board that sleeps, then hand the job over, once.")
@click.option("--awake-within", type=Duration(), metavar="TIME", help="With --when-awake: give up then. [default: 24h]")
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
    """Hand over a job of the kind TASK; prints its id once the board keeps it through any power cut.

    An ARG that is JSON (42, true, [1,2]) is taken as such, any other as text; text stays text where the task wants
    text. Put -- before an ARG that has the shape of an option (-x, --word).

    \b
    edge submit solve 1 "What is 50 divided by 2?" --wait
    """
    from edge.cli.jobs.awake import when_awake as answered
    from edge.cli.jobs.files import named as named_files
    from edge.cli.jobs.files import uploaded
    from edge.model import (  # with HTTP below: not for `edge submit --help`
        AfterFailure,
        Locality,
        Power,
        Submission,
        fresh_key,
    )

    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait")
    if only_if_in_time and deadline is None:
        raise UsageError("--only-if-in-time needs --deadline: until when is it in time?")
    if awake_within is not None and not when_awake:
        raise UsageError("--awake-within needs --when-awake")
    if when_awake and key is None:
        key = fresh_key(Locality().prefix())  # one key for all tries: they make one job
    for text in kwargs:
        _split(text)  # a fault of the command line is told before the board is asked
    paths = named_files(files)
    with session.client() as client:

        def hand_over() -> Job:
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

        job = answered(hand_over, within_s=awake_within or _AWAKE_WITHIN_S) if when_awake else hand_over()
        if not wait:
            output.document(job.view) if session.as_json else click.echo(job.id)
            hopeless = job.view.waiting.startswith(("no worker of pool", "no worker takes"))  # it would wait for ever
            if hopeless or job.view.starts is not None:
                output.note(job.view.waiting)
            return 0
        from edge.cli.jobs.progress import waited  # only for who waits
        from edge.cli.jobs.result import show

        if not session.as_json:
            output.note(job.id)
        return show(session, waited(session, client, job.id, timeout=timeout))


def arguments(
    client: Client, task: str, args: Sequence[str], kwargs: Sequence[str], *, json_args: bool
) -> tuple[list[JsonValue], JsonObject]:
    """Return the arguments that the words of a command line stand for: by place, and by name."""
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
    """True when some word is JSON that is not text: only then the task's own types matter."""
    return any(_json(word) is not _NOT_JSON for word in words)


def _kind(client: Client, task: str) -> TaskView | None:
    """What the task expects; None where that cannot be told: the board checks the arguments in any case."""
    from edge.core.errors import Unreachable  # beside the client's own imports

    try:
        return client.task(task)
    except Unreachable:
        raise
    except EdgeError:
        return None


def _refuse_deadline(client: Client, task: str, power: str | None) -> None:
    """Raise where a deadline would mean nothing: only who waits for surplus power stops to wait for it."""
    if power is None:
        kind = _kind(client, task)
        power = None if kind is None else kind.power.value
    if power not in {None, "surplus"}:
        raise UsageError(f"--deadline is for jobs that wait for surplus power; this one is of class {power}")


def _schema(kind: TaskView | None, which: int | str) -> object:
    """JSON Schema of an argument by place or name; an empty one where it is not known."""
    if kind is None:
        return {}
    if isinstance(which, int):
        if which >= len(kind.positional):
            return {}
        which = kind.positional[which]
    return kind.schema.get("properties", {}).get(which, {})


_NOT_JSON = object()


def _json(text: str) -> object:
    import msgspec  # not for `edge submit --help`

    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _value(text: str, schema: object, *, strict: bool) -> object:
    """The value a word stands for."""
    value = _json(text)
    if value is _NOT_JSON:
        if strict:
            raise UsageError(f"argument {text[:80]!r}: not JSON, which --json-args asks for (text needs quotes)")
        return text
    return text if not strict and isinstance(schema, dict) and schema.get("type") == "string" else value
