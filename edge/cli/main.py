"""The command `edge`: the table of its commands, and the one place that turns an error into a line and an exit code."""

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

#: Command -> (module under edge.cli, one line of help). The module is imported when the command is used, not before:
#: imports are slow on a Pi Zero.
COMMANDS: dict[str, tuple[str, str]] = {
    "submit": ("jobs.submit", "Submit a job; print its id, or with --wait its value."),
    "run": ("jobs.run", "Run a program on the board with local files; show its output and fetch its files."),
    "status": ("jobs.status", "Show the state of the board, or the state of one job and why it waits."),
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
    "restore": ("board.backup", "Restore a stopped board from a file of `edge backup`."),
    "config": ("board.config", "Check and show the board's configuration."),
    "doctor": ("board.doctor", "Check everything that the board needs; say what is wrong and what to do."),
    "up": ("board.services", "Run broker, gateway, governor and worker in the foreground."),
    "worker": ("board.services", "Run the worker of a board."),
    "gateway": ("board.services", "Run the HTTP gateway of a board."),
    "power": ("board.power", "Run the power governor of a board; probe, replay, simulate."),
    "scale": ("board.scale", "Show how many workers run and why; set a count by hand, for some time."),
    "pause": ("board.power", "Start nothing new on this board, for some time or until resumed."),
    "resume": ("board.power", "End a pause."),
    "deploy": ("lan.deploy", "Install edge on a board over ssh, or bring it to this version."),
    "discover": ("lan.discover", "Find boards on the LAN."),
    "pair": ("lan.pair", "Ask a board for access from this machine; the owner confirms a code there."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("board.version", "Print the version."),
}

#: Commands and options whose arguments are names of files. On Linux such a name may contain any bytes.
_FILE_COMMANDS = frozenset({"backup", "restore", "deploy", "power replay", "schedule apply", "up", "run"})
_FILE_OPTIONS = frozenset({"--config", "--token-file", "--save"})
#: Options before the command that take a value. The value must not be mistaken for the command.
_VALUED = frozenset({"--url", "--config", "--token-file"})
#: The longest error message. An error may quote input of any length; every message without such input is shorter.
_LONGEST_MESSAGE = 4000

_EPILOG = """\b
Exit codes:
  0  all went well
  1  the job failed or was cancelled, a check failed, or the command could not do its work
  2  bad usage, input or configuration
  3  gateway or broker cannot be reached or started
  4  no such job, file, schedule or pairing request
  5  not allowed: the token is missing, unknown, or lacks the scope
  6  no result in time, or the job would end too late
130  interrupted by Ctrl-C

\b
The gateway is found by --url, EDGE_URL, the file ~/.config/edge/client.yaml (or
EDGE_CLIENT_CONFIG), or at http://127.0.0.1:8420; the token by --token-file,
EDGE_TOKEN, EDGE_TOKEN_FILE or that file.
"""


class Commands(click.Group):
    """The group of all commands. It imports a command when it is used, and lists all commands without any import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all commands, in the order in which the help lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Return the command, or None if there is no command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edge.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("list", "list_jobs"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does. Raises UsageError with the most similar name if the name is mistyped."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # only loaded for a mistake

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`edge --help` lists the commands"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the list of commands in `edge --help`, from the table `COMMANDS`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command and flush stdout. Return 141 if the reader of a pipe has gone away.

        The flush happens here because at the interpreter's exit a closed pipe would be reported as an error.
        """
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _close_stdout()
            return 141  # the exit code of a program that SIGPIPE ended; nobody would read a message
        return code


def _close_stdout() -> None:
    """Redirect stdout to /dev/null, so that the interpreter's last flush raises no error."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return  # stdout has no file descriptor, so there is nothing to flush


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version and exit: the option `--version`, which most other programs have."""
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
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.pass_context
def cli(
    ctx: click.Context, *, url: str | None, token_file: Path | None, config: Path | None, as_json: bool, debug: bool
) -> None:
    """Submit jobs to an edge worker: a Raspberry Pi that keeps them through power cuts and runs them as power allows.

    \b
    edge submit solve 1 "What is 50 divided by 2?" --wait
    """
    ctx.obj = Session(url=url, token_file=token_file, config=config, as_json=as_json, debug=debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. An error is written as one line, or raised with `--debug`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # the terminal's encoding may lack a character
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
    """Raise click's UsageError for an argument that is neither UTF-8 nor a file name. JSON and HTTP cannot send it."""
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
    """Return the first two words that are not options: the command, and its sub-command if it has one."""
    words = [
        word
        for before, word in pairwise(("", *arguments))
        if not word.startswith("-") and before not in _VALUED  # `--url=...` starts with `-`, so it is left out
    ]
    return words[:2]


def _shown(message: str) -> str:
    """Return a message as one line that is safe for a terminal, and not longer than `_LONGEST_MESSAGE`.

    A message may quote input with any characters and of any length.
    """
    line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in " ".join(message.split()))
    half = _LONGEST_MESSAGE // 2
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:half]} ... {line[-half:]}"


def _write_error(err: Exception, *, as_json: bool) -> int:
    """Write an error as one line, or as a JSON document. Return its exit code."""
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
            hint = "--debug shows the traceback"
    message = _shown(message)
    if as_json:
        import json  # only loaded for an error

        problem = {"kind": type(err).__name__, "message": message, "exit_code": code}
        if job_id := getattr(err, "job_id", ""):
            problem["job_id"] = job_id
        print(json.dumps({"error": problem}), file=sys.stderr)  # noqa: T201
    else:
        print(f"edge: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
