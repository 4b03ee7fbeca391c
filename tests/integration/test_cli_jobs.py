"""The commands of jobs work against a real gateway, with results as a worker leaves them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.access.tokens import Scope, Tokens
from edge.cli.main import main
from edge.client import Client, Settings
from edge.config import Config
from edge.model import Failure, FailureCode, JobState, Result, Submission
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

EDGE = os.fspath(Path(sys.executable).with_name("edge"))


class Edge:
    """Runs commands, and keeps the output of the last one."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Run a command, and return its exit code."""
        self._capsys.readouterr()
        code = main(arguments)
        self.out, self.err = self._capsys.readouterr()
        return code

    def value(self, *arguments: str) -> str:
        """Run a command that must succeed, and return its output."""
        assert self(*arguments) == 0, self.err
        return self.out.strip()

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed, and return the JSON document that it prints."""
        return json.loads(self.value(*arguments, "--json"))


@pytest.fixture
def edge(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    """Commands that find `gateway` and no settings of the caller."""
    for name in [name for name in os.environ if name.startswith("EDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("EDGE_URL", f"http://127.0.0.1:{gateway.port}")
    monkeypatch.setenv("EDGE_CONFIG", str(gateway.config.root.parent / "edge.yaml"))
    return Edge(capsys)


@pytest.fixture
def client(gateway: RunningGateway) -> Client:
    """The Python client of `gateway`."""
    return Client(settings=Settings(f"http://127.0.0.1:{gateway.port}", patience_s=0))


def fail(config: Config, job_id: str) -> None:
    """Publish a failure, as a worker does."""
    failure = Failure(FailureCode.EXCEPTION, "division by zero", "ZeroDivisionError", "Traceback: line 1")
    Results(config.layout).publish(Result(job_id, "echo", JobState.FAILED, failure=failure, finished_at=time.time()))


def soon(act: Callable[[], None]) -> None:
    """Call `act` a moment later, while the test waits in a command."""
    timer = threading.Timer(0.3, act)
    timer.daemon = True
    timer.start()


# ---- submit ----


def test_submit_prints_the_id(edge: Edge, client: Client) -> None:
    """The id is alone on stdout, for `id=$(edge submit ...)`."""
    job_id = edge.value("submit", "echo", "hello")
    assert client.job(job_id).task == "echo"


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["echo", "hello"], ["hello"], {}),
        (["echo", "42"], ["42"], {}),  # the task takes text
        (["echo", '"42"'], ['"42"'], {}),
        (["echo", "a", "3"], ["a", 3], {}),  # here the task takes a number
        (["echo", "--kwarg", "text=7", "--kwarg", "times=2"], [], {"text": "7", "times": 2}),
        (["echo", "--", "--dash"], ["--dash"], {}),
        (["echo", "-7 plus three"], ["-7 plus three"], {}),
        (["echo", "-h is not the help here"], ["-h is not the help here"], {}),
        (["echo", "- 3 + 4"], ["- 3 + 4"], {}),
        (["echo", "--wait for it"], ["--wait for it"], {}),
        (["echo", "--retries", "0", "-x + 3"], ["-x + 3"], {}),
        (["echo", "-"], ["-"], {}),
        (["echo", "--kwarg", "text=a=b"], [], {"text": "a=b"}),
        (["total", "[1, 2.5]"], [[1, 2.5]], {}),
        (["total", "[1]", "--kwarg", "scale=-2"], [[1]], {"scale": -2}),
        (["echo", '"42"', "--json-args"], ["42"], {}),
        (["nothing"], [], {}),
    ],
)
def test_words_become_the_arguments_the_task_wants(
    edge: Edge, gateway: RunningGateway, words: list[str], args: list[Any], kwargs: dict[str, Any]
) -> None:
    """A word is JSON if the task takes JSON, and text if it takes text."""
    job_id = edge.value("submit", *words)
    job = gateway.gateway.appliance.outbox.reader.get(job_id)
    assert list(job.call()) == [args, kwargs]


def test_submit_hands_on_what_the_options_say(edge: Edge, client: Client) -> None:
    """Power class, retries and limit reach the job; a key makes two submits one job."""
    words = ("submit", "echo", "x", "--power", "surplus", "--retries", "2", "--time-limit", "5", "--key", "k")
    first = edge.json(*words)
    assert edge.json(*words)["id"] == first["id"]
    job = client.job(first["id"])
    assert (job.power, job.retries, job.time_limit_s) == ("surplus", 2, 5.0)


def test_a_key_used_for_another_job_is_exit_2(edge: Edge) -> None:
    """The conflict names the id of the first job."""
    job_id = edge.value("submit", "echo", "x", "--key", "k")
    assert edge("submit", "echo", "y", "--key", "k") == 2
    assert job_id in edge.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ehco", "x"], "unknown task 'ehco': known are echo"),
        (["echo"], "argument 'text' is missing"),
        (["echo", "a", "b"], "argument 'times' = 'b': must be a whole number"),
        (["echo", "a", "1", "2"], "3 arguments given"),
        (["nothing", "-5"], "1 argument"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line_and_exit_2(edge: Edge, words: list[str], says: str) -> None:
    """The message is that of the gateway."""
    assert edge("submit", *words) == 2
    (line,) = edge.err.splitlines()
    assert says in line
    assert edge.out == ""


def test_submit_wait_prints_the_value(edge: Edge, gateway: RunningGateway, client: Client) -> None:
    """The value is alone on stdout."""

    def finish() -> None:
        (job,) = client.list(limit=1)
        gateway.finish(job.id, value="hello hello")

    soon(finish)
    assert edge("submit", "echo", "hello", "2", "--wait", "--timeout", "20") == 0
    assert edge.out == "hello hello\n"


def test_submit_wait_gives_up_with_exit_6(edge: Edge, client: Client) -> None:
    """After the timeout the job continues, and the message has its id."""
    assert edge("submit", "echo", "x", "--wait", "--timeout", "0.1") == 6
    (job,) = client.list()
    assert job.id in edge.err
    assert "no result yet: accepted" in edge.err


# ---- result, wait ----


def test_result_prints_text_as_it_is_and_the_rest_as_json(edge: Edge, gateway: RunningGateway) -> None:
    """Text is printed as it is and other values as JSON, for the next program in a pipe."""
    for value, text in [("two\nlines", "two\nlines\n"), ({"a": [1, None]}, '{"a":[1,null]}\n'), (None, "null\n")]:
        job_id = gateway.submit()
        gateway.finish(job_id, value=value)
        gateway.becomes(job_id, "succeeded")
        assert edge("result", job_id) == 0
        assert edge.out == text


def test_result_saves_the_files(edge: Edge, gateway: RunningGateway, tmp_path: Path) -> None:
    """All files are saved to a folder, which is made."""
    job_id = gateway.submit()
    content = {"a.txt": b"A" * 200_000, "b.bin": b"", "a b (1).txt": b"x"}
    gateway.finish(job_id, value="done", files=content)
    gateway.becomes(job_id, "succeeded")
    edge.value("result", job_id)
    assert "a.txt (200.0 kB)" in edge.err
    folder = tmp_path / "new" / "folder"
    document = edge.json("result", job_id, "--save", str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content
    assert sorted(document["saved"]) == sorted(str(folder / name) for name in content)


def test_result_of_a_failure_is_exit_1_with_the_reason(edge: Edge, gateway: RunningGateway) -> None:
    """The reason of the failure is printed, and with an option also the traceback."""
    job_id = gateway.submit()
    fail(gateway.config, job_id)
    gateway.becomes(job_id, "failed")
    assert edge("result", job_id) == 1
    assert edge.out == ""
    assert edge.err == f"edge: job {job_id} failed: division by zero (exception)\n"
    assert edge("result", job_id, "--traceback") == 1
    assert "Traceback: line 1" in edge.err
    assert edge("result", job_id, "--json") == 1
    assert json.loads(edge.out)["failure"]["type"] == "ZeroDivisionError"


def test_result_of_an_open_job_is_exit_6_with_the_reason(edge: Edge, gateway: RunningGateway) -> None:
    """The message says why the job waits."""
    job_id = gateway.submit()
    assert edge("result", job_id) == 6
    assert "has no result yet: accepted; " in edge.err


def test_wait_is_over_when_the_last_job_is(edge: Edge, gateway: RunningGateway) -> None:
    """`edge wait` prints one line for each job, and exits with 1 if one failed."""
    good, bad = gateway.submit(), gateway.submit()
    soon(lambda: gateway.finish(good))
    soon(lambda: fail(gateway.config, bad))
    assert edge("wait", good, bad, "--timeout", "20") == 1
    assert edge.out.splitlines()[0].startswith(f"{good} succeeded")
    assert edge.out.splitlines()[1] == f"{bad} failed: division by zero"
    assert edge("wait", good, "--json") == 0
    assert json.loads(edge.out)["state"] == "succeeded"


def test_wait_gives_up_with_exit_6(edge: Edge, gateway: RunningGateway) -> None:
    """`edge wait` gives up after a time for all jobs together."""
    began = time.monotonic()
    assert edge("wait", gateway.submit(), gateway.submit(), "--timeout", "0.2") == 6
    assert time.monotonic() - began < 5


# ---- status, list, cancel, rm ----


def test_status_shows_the_board(edge: Edge) -> None:
    """`edge status` shows power, broker, workers and counts."""
    out = edge.value("status")
    for name in ("board", "power", "broker", "worker", "jobs", "tasks"):
        assert f"\n{name}" in f"\n{out}"
    assert edge.json("status")["tasks"] == 3


def test_status_of_a_job_says_why_it_waits(edge: Edge, gateway: RunningGateway) -> None:
    """`edge status ID` shows the job and why it waits."""
    out = edge.value("status", gateway.submit())
    assert "state      accepted" in out
    assert "waiting    broker" in out


@pytest.mark.parametrize("command", ["status", "result", "cancel", "rm", "wait"])
@pytest.mark.parametrize("job_id", ["nosuch", "../x", "a b", "ä"])
def test_a_job_that_is_not_there_is_exit_4(edge: Edge, command: str, job_id: str) -> None:
    """Every command for a missing job exits with 4."""
    assert edge(command, job_id) == 4
    assert len(edge.err.splitlines()) == 1


def test_list_filters_and_pages(edge: Edge, gateway: RunningGateway) -> None:
    """Jobs are listed newest first, as a table for people and as lines of JSON for programs."""
    ids = [gateway.submit() for _ in range(3)]
    other = edge.value("submit", "nothing")
    gateway.finish(ids[0])
    gateway.becomes(ids[0], "succeeded")
    lines = edge.value("list").splitlines()
    assert [line.split()[0] for line in lines] == ["ID", other, *reversed(ids)]
    assert [json.loads(line)["id"] for line in edge.value("list", "--json", "--limit", "2").splitlines()] == [
        other,
        ids[2],
    ]
    assert edge.json("list", "--state", "succeeded")["id"] == ids[0]
    assert edge.json("list", "--task", "nothing")["id"] == other
    assert edge("list", "--state", "failed") == 0
    assert edge.err == "no jobs\n"


def test_list_all_goes_beyond_a_page(edge: Edge, client: Client) -> None:
    """`edge list --all` prints one table for all pages."""
    client.submit_many(Submission("nothing") for _ in range(230))
    lines = edge.value("list", "--all").splitlines()
    assert len(lines) == 231
    assert sum(line.startswith("ID ") for line in lines) == 1


def test_cancel_never_touches_a_result(edge: Edge, gateway: RunningGateway) -> None:
    """A cancel of a job that has just ended keeps its result."""
    job_id = gateway.submit()
    gateway.finish(job_id, value="kept")
    gateway.becomes(job_id, "succeeded")
    assert edge("cancel", job_id) == 1
    assert "has ended" in edge.err
    assert edge.value("result", job_id) == "kept"


def test_cancel_goes_on_after_one_that_refuses(edge: Edge, gateway: RunningGateway, client: Client) -> None:
    """`edge cancel` continues after a refusal, and its exit code reports it."""
    job_id = gateway.submit()
    assert edge("cancel", "nosuch", job_id) == 4
    assert edge.out == f"{job_id} asked to stop\n"
    assert client.job(job_id).cancelling


def test_rm_refuses_an_open_job(edge: Edge, gateway: RunningGateway) -> None:
    """`edge rm` of an open job says to cancel it first."""
    job_id = gateway.submit()
    assert edge("rm", job_id) == 1
    assert "cancel it first" in edge.err
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    assert edge("rm", job_id, "--json") == 0
    assert json.loads(edge.out) == {"id": job_id, "done": True}


# ---- tasks, tokens ----


def test_tasks_lists_and_explains(edge: Edge) -> None:
    """`edge tasks` shows name, arguments and purpose of each kind."""
    assert "echo" in edge.value("tasks")
    assert "echo" in edge.value("tasks", "echo")
    assert {task["name"] for task in edge.json("tasks")["tasks"]} == {"echo", "nothing", "total"}
    assert edge("tasks", "ehco") == 2
    assert "known are echo" in edge.err


def test_without_a_token_it_is_exit_5_and_with_one_it_works(
    make_config: MakeConfig,
    start_gateway: StartGateway,
    edge: Edge,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`token add` on the board and EDGE_TOKEN_FILE elsewhere give access; `token revoke` ends it at once."""
    config = make_config(root="other", run="other-run", gateway={"loopback_without_token": False})
    gateway = start_gateway(config)
    monkeypatch.setenv("EDGE_URL", f"http://127.0.0.1:{gateway.port}")
    assert edge("status") == 5
    assert "needs a token" in edge.err
    secret = tmp_path / "token"
    secret.touch(mode=0o600)
    secret.write_text(edge.value("token", "add", "laptop"))
    monkeypatch.setenv("EDGE_TOKEN_FILE", str(secret))
    job_id = edge.value("submit", "echo", "x")
    assert edge.json("status", job_id)["submitter"] == "laptop"
    assert edge.value("token", "list").splitlines()[1].split()[:2] == ["laptop", "submit"]
    edge.value("token", "allow", "laptop", "--scope", "read")
    assert edge("submit", "echo", "x") == 5
    assert "this needs" in edge.err
    edge.value("token", "allow", "laptop", "--scope", "read", "--scope", "submit")
    assert edge.json("token", "list")[0]["scopes"] == ["read", "submit"]
    assert edge("submit", "echo", "x") == 0
    edge.value("token", "revoke", "laptop")
    assert edge("submit", "echo", "x") == 5
    assert "not known here" in edge.err


def test_a_token_without_the_scope_is_exit_5(
    make_config: MakeConfig, start_gateway: StartGateway, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token with scope `read` may not submit."""
    config = make_config(root="other", run="other-run", gateway={"loopback_without_token": False})
    gateway = start_gateway(config)
    monkeypatch.setenv("EDGE_URL", f"http://127.0.0.1:{gateway.port}")
    monkeypatch.setenv("EDGE_TOKEN", Tokens(config.layout.tokens).add("reader", [Scope.READ]))
    assert edge("submit", "echo", "x") == 5
    assert edge("list") == 0


# ---- as a process ----


def environment(gateway: RunningGateway, **more: str) -> dict[str, str]:
    """Return variables for a process that finds `gateway` and no settings of the caller."""
    home = {"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    return {**home, "EDGE_URL": f"http://127.0.0.1:{gateway.port}", **more}


def run(gateway: RunningGateway, *arguments: str) -> subprocess.Popen[str]:
    """Start a command as a separate process."""
    pipe = subprocess.PIPE
    return subprocess.Popen([EDGE, *arguments], env=environment(gateway), stdout=pipe, stderr=pipe, text=True)


def test_ctrl_c_is_quiet_and_exit_130(gateway: RunningGateway) -> None:
    """Ctrl-C prints no traceback, and the job continues."""
    job_id = gateway.submit()
    with run(gateway, "wait", job_id) as process:
        assert process.stderr is not None
        process.stderr.readline()  # its first line says that it waits
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_a_closed_pipe_is_quiet(gateway: RunningGateway, client: Client) -> None:
    """`edge list --all | head -1` ends without an error."""
    client.submit_many(Submission("nothing") for _ in range(1500))
    with run(gateway, "list", "--all") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("ID ")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 141


def test_tab_completes_jobs_and_tasks(gateway: RunningGateway) -> None:
    """Completion asks the gateway, if it answers at once."""
    job_id = gateway.submit()
    tabs = {f"edge result {job_id[:3]}": job_id, "edge submit ec": "echo", "edge tasks to": "total"}
    for words, offered in tabs.items():
        env = environment(gateway, _EDGE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="2")
        done = subprocess.run([EDGE], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [f"plain,{offered}"]


def test_a_deadline_is_for_surplus_jobs(edge: Edge) -> None:
    """A deadline with another class than surplus is refused, because it would have no effect."""
    for words in (("--power", "normal"), ("--power", "always"), ()):
        assert edge("submit", "echo", "x", "--deadline", "6h", *words) == 2
        assert "--deadline is for jobs that wait for surplus power; this one is of class" in edge.err
    assert edge.value("submit", "echo", "x", "--deadline", "6h", "--power", "surplus")
    assert edge.value("list", "--json").count("deadline_at") == 1
