"""The command `edge` itself: its table of commands, and errors as one line with an exit code."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from edge import __version__
from edge.cli import main as cli_main
from edge.cli.main import COMMANDS, cli, main
from edge.core.errors import BrokerError, ConfigError, EdgeError, UnknownJob


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the commands of these tests from finding a real gateway or configuration."""
    for name in ("EDGE_CONFIG", "EDGE_TOKEN", "EDGE_TOKEN_FILE", "EDGE_CA_FILE", "EDGE_CLIENT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", "/nonexistent")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_the_table_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table in main.py exists in its module and prints its help."""
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: edge {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_takes_json(name: str) -> None:
    """Each command has the option `--json`, except two whose output is a script or an example file."""
    command = getattr(importlib.import_module(f"edge.cli.{COMMANDS[name][0]}"), name.replace("list", "list_jobs"))
    commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for found in commands:
        options = {option for parameter in found.params for option in parameter.opts}
        assert "--json" in options or found.name in {"completion", "example"}, found.name


def test_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """`edge --help` lists every command and every exit code."""
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in out
    for code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert f"\n  {code:>3}  " in out


def test_help_imports_no_command() -> None:
    """`edge --help` imports no module of a command, because imports are slow on a Pi Zero."""
    script = (
        "import sys; from edge.cli.main import main; main(['--help']);"
        "print(*sorted(name for name in sys.modules if name.startswith('edge.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "edge.cli edge.cli.main edge.cli.session edge.core edge.core.errors"


@pytest.mark.parametrize(
    "words",
    [["submit", "t", "--time-limit", "nan"], ["wait", "j", "--timeout", "inf"], ["submit", "t", "--max-temp", "nan"]],
)
def test_a_number_is_finite(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`nan` and `inf` are refused. A check such as `value < 0` would let `nan` pass."""
    assert main(words) == 2
    assert "is not a finite number" in capsys.readouterr().err


def fail_with(err: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every command raise `err`."""

    def broken(*_: object, **__: object) -> object:
        raise err

    monkeypatch.setattr(cli_main.Commands, "invoke", broken)


@pytest.mark.parametrize(
    ("err", "code", "line"),
    [
        (UnknownJob("j"), 4, "edge: no job 'j'"),
        (BrokerError("broker: gone"), 3, "edge: broker: gone"),
        (ConfigError("a.b", 1, "expected 2"), 2, "edge: a.b = 1: expected 2"),
        (EdgeError("two\nlines"), 1, "edge: two lines"),
        (OSError(28, "No space left", "/x"), 1, "edge: /x: No space left"),
        (
            ZeroDivisionError("oops"),
            1,
            "edge: a fault of edge itself: ZeroDivisionError: oops (--debug shows the traceback)",
        ),
        (click.UsageError("bad"), 2, "edge: bad"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    err: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of error is written as one line without a traceback, and has its exit code."""
    fail_with(err, monkeypatch)
    assert main(["version"]) == code
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.strip() == line


def test_an_error_can_be_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` an error is a JSON document on stderr, with its kind, its exit code and the job's id."""
    fail_with(UnknownJob("j"), monkeypatch)
    assert main(["status", "j", "--json"]) == 4
    printed = json.loads(capsys.readouterr().err)
    assert printed == {"error": {"kind": "UnknownJob", "message": "no job 'j'", "exit_code": 4, "job_id": "j"}}


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--debug` the exception is raised, so that Python prints its traceback."""
    fail_with(ZeroDivisionError("oops"), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "version"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sumbit"], "no such command 'sumbit'; did you mean 'submit'?"),
        (["zzzz"], "no such command 'zzzz'; `edge --help` lists the commands"),
        (["status", "a", "b"], "unexpected extra argument"),
        (["list", "--state", "bad"], "'bad' is not one of"),
        (["submit", "solve", "--retires", "3"], "no such option --retires"),
        (["submit", "solve", "-x"], "no such option -x"),
        (["submit", "solve", "--kwarg", "a"], "--kwarg 'a': expected NAME=VALUE"),
        (["submit", "solve", "1", "--timeout", "3"], "--timeout needs --wait"),
        (["submit", "solve", "1", "--retries", "-1"], "'--retries'"),
        (["submit", "solve", "1", "--power", "max"], "'max' is not one of"),
        (["submit", "solve", "word", "--json-args"], "argument 'word': not JSON"),
        (["submit", "solve", "[" * 5000, "--json-args"], "not JSON"),
        (["--url", "ftp://x", "status"], "url = 'ftp://x': expected http://"),
        (["status", "--url", "nonsense"], "url = 'nonsense': expected http://"),
        (["--config", "/nosuch.yaml", "config", "check"], "config = '/nosuch.yaml': No such file"),
        (["--token-file", "/nosuch", "status"], "token file = '/nosuch': No such file"),
        (["up", "--config", "x"], "not --config"),
        (["completion", "powershell"], "'powershell' is not one of"),
        (["wait"], "Missing argument"),
        *(
            ([*words, "caf\udce9"], "argument 'caf\\udce9' is not valid UTF-8")
            for words in (
                *(["status"], ["wait"], ["result"], ["cancel"], ["rm"], ["tasks"], ["list", "--task"], ["submit"]),
                *(["submit", "solve"], ["submit", "solve", "--kwarg"], ["submit", "solve", "1", "--key"]),
                *(["pause"], ["token", "add"], ["discover"], ["--url"], ["power", "simulate"], []),
            )
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad usage exits with 2, and its one line says what is wrong."""
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    (line,) = streams.err.splitlines()
    assert expected in line


def test_nobody_at_the_gateway_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The error names the address that was tried."""
    config = tmp_path_factory.mktemp("client") / "client.yaml"
    config.write_text("patience_s: 0")
    monkeypatch.setenv("EDGE_CLIENT_CONFIG", str(config))
    assert main(["status"]) == 3
    assert "cannot reach the gateway at http://127.0.0.1:9: connection refused" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of each shell calls `edge` to get the completions."""
    assert main(["completion", shell]) == 0
    assert "_EDGE_COMPLETE" in capsys.readouterr().out


def completed(arguments: list[str], incomplete: str) -> list[str]:
    """Return the values that the Tab key would offer."""
    found = ShellComplete(cli, {}, "edge", "_EDGE_COMPLETE").get_completions(arguments, incomplete)
    return [item.value for item in found]


def test_tab_knows_the_commands_and_options() -> None:
    """Commands and options are completed without a gateway."""
    assert completed([], "co") == ["config", "completion"]
    assert "--retries" in completed(["submit"], "--re")


def test_tab_offers_nothing_where_no_gateway_answers() -> None:
    """If no gateway answers, ids and tasks are not completed, and no error is raised."""
    assert completed(["status"], "") == []
    assert completed(["submit"], "s") == []


def test_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`edge --version` prints the version, as most other programs do."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edge {__version__}\n"


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`edge version` prints one line, and with `--json` one document."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("edge 0.")
    assert main(["version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"edge", "python"}


@pytest.mark.parametrize(
    "words",
    [
        *(["cancel", "backup"], ["rm", "restore"], ["submit", "chat", "up"], ["submit", "chat", "power replay"]),
        *(["--url", "up", "status"], ["power", "simulate", "replay"], ["submit", "chat", "--key", "deploy"]),
    ],
)
def test_a_word_that_is_a_command_elsewhere_names_no_file(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A job may have an argument `up`. But bytes after it that are not UTF-8 are still refused."""
    assert main([*words, "caf\udce9"]) == 2
    assert "argument 'caf\\udce9' is not valid UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["restore"], ["--config", "x", "restore"], ["power", "replay"]])
def test_a_file_may_have_any_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A file name may contain any bytes, so another error than bad UTF-8 is reported for these missing files."""
    assert main([*words, "/nowhere/caf\udce9"]) != 0
    assert "is not valid UTF-8" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["doctor"], ["submit", "--power"], ["list", "--state"], ["power", "simulate"], []])
def test_an_error_shows_what_was_given_in_one_short_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An error quotes input in one line, with control characters as codes, and shortens input of 100 kB."""
    assert main([*words, "\x1b[31m\u202ex\n" + "y" * 100_000]) == 2
    err = capsys.readouterr().err
    assert len(err) < 5000
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()
    assert "x1b" in err
