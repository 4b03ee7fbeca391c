"""`edge`: the commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click

from edge.cli.session import Session
from edge.core.errors import EdgeError

#: Command -> (module under edge.cli, one line). The module is imported when the command is used, not before: on a
#: Pi Zero each import is felt.
COMMANDS: dict[str, tuple[str, str]] = {
    "submit": ("jobs.submit", "Hand over a job; prints its id, or with --wait its value."),
    "run": ("jobs.run", "Run a program of the board on files from here; shows what it prints, fetches what it leaves."),
    "status": ("jobs.status", "Show the board in one look, or where one job stands and why."),
    "wait": ("jobs.wait", "Wait until jobs have ended, with a progress bar."),
    "watch": ("jobs.watch", "Show what happens on the board, live, until Ctrl-C."),
    "result": ("jobs.result", "Print what a job returned; --save fetches its files."),
    "list": ("jobs.many", "List jobs, newest first."),
    "cancel": ("jobs.many", "Ask open jobs to stop."),
    "reprioritise": ("jobs.many", "Give an open job another priority."),
    "rm": ("jobs.many", "Remove ended jobs with their results and files."),
    "schedule": ("schedules.schedule", "Show, add, change, pause and run periodic jobs."),
    "tasks": ("jobs.tasks", "List the kinds of job, or explain one."),
    "token": ("board.token", "Give and revoke access from the LAN (on the board)."),
    "backup": ("board.backup", "Pack the board into one file while it runs."),
    "restore": ("board.backup", "Put such a file onto a stopped board."),
    "config": ("board.config", "Check and show the board's configuration."),
    "doctor": ("board.doctor", "Check broker, ledger, folders, disk, clock and versions; say what to do."),
    "up": ("board.services", "Run broker, gateway, governor and worker in the foreground."),
    "worker": ("board.services", "Run the worker of a board."),
    "gateway": ("board.services", "Run the HTTP gateway of a board."),
    "power": ("board.power", "Run the power governor of a board; probe, replay, simulate."),
    "scale": ("board.scale", "Show how many workers run and why; set a count by hand, for a time."),
    "pause": ("board.power", "Start nothing new on this board, for a time or until resumed."),
    "resume": ("board.power", "End a pause."),
    "deploy": ("lan.deploy", "Make a board an appliance, over ssh."),
    "discover": ("lan.discover", "Find boards on the LAN."),
    "pair": ("lan.pair", "Ask a board to let this machine in; the owner confirms a code there."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("board.version", "Print the version."),
}

#: Commands and options whose words are names of files, which Linux lets hold any bytes.
_FILE_COMMANDS = frozenset({"backup", "restore", "deploy", "power replay", "schedule apply", "up", "run"})
_FILE_OPTIONS = frozenset({"--config", "--token-file", "--save"})
#: Options before the command that have a value: it is not the command.
_VALUED = frozenset({"--url", "--config", "--token-file"})
#: Characters of an error that quotes what somebody gave: enough for every sentence of ours.
_LONGEST_MESSAGE = 4000

_EPILOG = """\b
Exit codes:
  0  all went well
  1  the job failed or was cancelled, a check failed, or what was asked could not be done
  2  bad usage, input or configuration
  3  gateway or broker cannot be reached
  4  no such job or file
  5  not allowed: token missing, unknown or too narrow
  6  no result within the time to wait
130  interrupted by Ctrl-C

\b
The gateway is found by --url, EDGE_URL, the file ~/.config/edge/client.yaml (or
EDGE_CLIENT_CONFIG), or at http://127.0.0.1:8420; the token by --token-file,
EDGE_TOKEN, EDGE_TOKEN_FILE or that file.
"""


class Commands(click.Group):
    """Imports a command when it is used, and lists all of them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, in the order a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """The command itself; None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edge.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("list", "list_jobs"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a guess at what a mistyped name meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # only for a mistake

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`edge --help` lists the commands"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """The list in `edge --help`, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command and give out what is left to write, while a closed pipe can still be told from a fault."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _close_stdout()
            return 141  # as a program that SIGPIPE ended; nobody is left to read a message
        return code


def _close_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush stays quiet too."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return  # a stdout that is no file: there is nothing to flush to


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """What most other programs know as an option."""
    if asked:
        from edge import __version__

        click.echo(f"edge {__version__}")
        ctx.exit()


@click.command("edge", cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", metavar="URL", help="Address of the gateway, such as http://pi.local:8420.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="File that holds the token.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The board's edge.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON on stdout, and errors as JSON on stderr.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="As `edge version`."
)
@click.pass_context
def cli(
    ctx: click.Context, *, url: str | None, token_file: Path | None, config: Path | None, as_json: bool, debug: bool
) -> None:
    """Jobs for an edge worker: a Raspberry Pi that keeps them through any power cut and runs them when power allows.

    \b
    edge submit solve 1 "What is 50 divided by 2?" --wait
    """
    ctx.obj = Session(url=url, token_file=token_file, config=config, as_json=as_json, debug=debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. No error but a `--debug` one leaves with a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter still shows the rest
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json, debug = "--json" in options, "--debug" in options
    try:
        _refuse_undecodable(arguments)
        code = cli.main(arguments, prog_name="edge", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as err:
        if debug:
            raise
        return _write_error(err, as_json=as_json)


def _refuse_undecodable(arguments: Sequence[str]) -> None:
    """Raise click's usage error on a word that is not UTF-8 and names no file: JSON and HTTP cannot carry it."""
    command = _command(arguments)
    if (command[:1] and command[0] in _FILE_COMMANDS) or " ".join(command) in _FILE_COMMANDS:
        return
    for before, word in pairwise(("", *arguments)):
        if before not in _FILE_OPTIONS and not word.isascii():
            try:
                word.encode()
            except UnicodeEncodeError as err:
                shown = word.encode(errors="backslashreplace").decode()
                raise click.UsageError(f"argument '{shown[:80]}' is not valid UTF-8") from err


def _command(arguments: Sequence[str]) -> list[str]:
    """The first two words that are no options: a command, and perhaps its sub-command."""
    words = [
        word
        for before, word in pairwise(("", *arguments))
        if not word.startswith("-") and before not in _VALUED  # `--url=...` is one word
    ]
    return words[:2]


def _shown(message: str) -> str:
    """A message as one line that a terminal can show: it may quote any character, and any number of them."""
    line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in " ".join(message.split()))
    half = _LONGEST_MESSAGE // 2
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:half]} ... {line[-half:]}"


def _write_error(err: Exception, *, as_json: bool) -> int:
    """Write the one line (or JSON document) of an error; returns its exit code."""
    hint = ""
    match err:
        case EdgeError():
            code, message = err.exit_code, str(err)
            hint = "; ".join(getattr(err, "__notes__", []))
        case click.ClickException():
            code, message = 2, err.format_message()
            context = getattr(err, "ctx", None)
            hint = f"see: {context.command_path} --help" if context else ""
        case OSError():
            code, message = 1, f"{err.filename}: {err.strerror}" if err.filename else str(err)
        case _:
            code, message = 1, f"a fault of edge itself: {type(err).__name__}: {err}"
            hint = "--debug shows where"
    message = _shown(message)
    if as_json:
        import json  # only for a mistake

        problem = {"kind": type(err).__name__, "message": message, "exit_code": code}
        if job_id := getattr(err, "job_id", ""):
            problem["job_id"] = job_id
        print(json.dumps({"error": problem}), file=sys.stderr)  # noqa: T201
    else:
        print(f"edge: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
