"""The client: which settings are used, what a lost connection means, and which error belongs to a problem."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.client import BatchRefused, Client, Settings
from edge.core.errors import (
    BadArguments,
    BadJobId,
    ConfigError,
    EdgeError,
    GatewayError,
    JobFailed,
    JobGone,
    KeyReused,
    NotAllowed,
    NotReady,
    UnknownFile,
    UnknownJob,
    UnknownTask,
    Unreachable,
    UsageError,
    WrongState,
)
from edge.model import JobState, Submission

Request = tuple[str, str, dict[str, str], bytes]  # method, path, headers in lower case, body


class Cut(bytes):
    """A part of an answer, after which the connection breaks."""


Reply = bytes | None  # None breaks the connection without an answer


def answer(status: int, body: Any = None, **headers: str) -> bytes:
    """Return an HTTP response. A body that is not bytes is encoded as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def problem(status: int, code: str, detail: str = "because", **more: Any) -> bytes:
    """Return a problem document in the form of the gateway."""
    return answer(status, {"title": "X", "status": status, "detail": detail, "code": code, **more})


VIEW = {"id": "j1", "task": "solve", "state": "queued"}
RESULT = {"id": "j1", "task": "solve", "state": "succeeded", "value": 25}


class Server:
    """Answers each request with the next reply, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._replies: list[Reply] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def replies(self, *replies: Reply) -> None:
        """Set the answers to the next requests."""
        self._replies += replies

    def close(self) -> None:
        """Stop listening and close all connections."""
        for link in (self._listener, *self._links):
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with closing(link), link.makefile("rb") as stream:
            while True:
                try:
                    first = stream.readline().decode().split()
                    if not first:
                        return
                    headers = {}
                    while line := stream.readline().strip():
                        name, _, value = line.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", 0)))
                    self.requests.append((first[0], first[1], headers, body))
                    reply = self._replies.pop(0)
                    if reply is None:
                        link.shutdown(socket.SHUT_RDWR)
                        return
                    link.sendall(reply)
                    if isinstance(reply, Cut):
                        link.shutdown(socket.SHUT_RDWR)
                        return
                except (OSError, ValueError):
                    return


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port of this machine."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of `server` with a token and a short patience."""
    with Client(settings=Settings(server.url, "secret", patience_s=3)) as made:
        yield made


# ---- a submit is one job ----


def test_a_submit_whose_answer_is_lost_is_sent_again_with_the_same_key(server: Server, client: Client) -> None:
    """The board accepted the job and the connection broke. The second request must have the same key."""
    server.replies(None, answer(200, VIEW))
    assert client.submit("solve", 1, "a question").id == "j1"
    keys = [headers["idempotency-key"] for _, _, headers, _ in server.requests]
    bodies = [body for *_, body in server.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert bodies[0] == bodies[1]


def test_two_submits_are_two_jobs(server: Server, client: Client) -> None:
    """Each submit has a new key."""
    server.replies(answer(202, VIEW), answer(202, VIEW))
    client.submit("solve", 1)
    client.submit("solve", 1)
    first, second = (headers["idempotency-key"] for _, _, headers, _ in server.requests)
    assert first != second


def test_a_submit_that_stays_unanswered_names_its_key(server: Server) -> None:
    """A second submit with this key makes no second job."""
    server.replies(*[None] * 50)
    with Client(settings=Settings(server.url, patience_s=0)) as client, pytest.raises(Unreachable) as caught:
        client.submit("solve", 1)
    key = server.requests[0][2]["idempotency-key"]
    assert any(key in note for note in caught.value.__notes__)


def test_the_submission_is_what_was_asked_for(server: Server, client: Client) -> None:
    """It has arguments, names, power, retries and limit. Missing settings are left to the task."""
    server.replies(answer(202, VIEW), answer(202, VIEW))
    client.submit("solve", 1, power="surplus", retries=2, time_limit_s=5, key="k", base=10)
    client.submit("solve")
    method, path, headers, body = server.requests[0]
    assert (method, path, headers["idempotency-key"]) == ("POST", "/v1/jobs", "k")
    assert headers["authorization"] == "Bearer secret"
    assert json.loads(body) == {
        "task": "solve",
        "args": [1],
        "kwargs": {"base": 10},
        "power": "surplus",
        "retries": 2,
        "time_limit_s": 5,
    }
    assert json.loads(server.requests[1][3]) == {"task": "solve", "args": [], "kwargs": {}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1, 2}])
def test_arguments_that_are_no_json_are_refused_here(client: Client, value: object) -> None:
    """NaN would otherwise become null without an error."""
    with pytest.raises(BadArguments, match="not plain JSON"):
        client.submit("solve", value)


@pytest.mark.parametrize("key", ["", "ä", "a\nb", " a", "x" * 256])
def test_a_key_that_cannot_be_a_header_is_refused_here(client: Client, key: str) -> None:
    """A key must not add a header."""
    with pytest.raises(UsageError, match="1 to 255 printable"):
        client.submit("solve", key=key)


def test_a_class_that_is_none_is_told_with_those_there_are(client: Client) -> None:
    """The error is one line with the allowed classes."""
    with pytest.raises(UsageError, match="power 'solar': one of always, normal, surplus"):
        client.submit("solve", 1, power="solar")


def test_an_empty_id_names_no_job(client: Client) -> None:
    """`edge status "$ID"` with an empty ID must not read another path."""
    with pytest.raises(BadJobId):
        client.job("")


def test_a_batch_gives_each_line_a_key_and_keeps_the_order(server: Server, client: Client) -> None:
    """One request has one job in each line."""
    lines = b"".join(json.dumps({"line": n + 1, "id": f"j{n}", "state": "accepted"}).encode() + b"\n" for n in range(3))
    server.replies(answer(200, lines))
    jobs = client.submit_many(Submission("solve", [n]) for n in range(3))
    assert [job.id for job in jobs] == ["j0", "j1", "j2"]
    sent = [json.loads(line) for line in server.requests[0][3].splitlines()]
    assert [line["args"] for line in sent] == [[0], [1], [2]]
    assert len({line["key"] for line in sent}) == 3


def test_a_batch_that_is_refused_in_part_says_which(server: Server, client: Client) -> None:
    """The error has the accepted jobs and the refused ones."""
    refused = {
        "line": 2,
        "problem": {"title": "X", "status": 422, "code": "unknown-task", "detail": "unknown task 'x'"},
    }
    lines = [{"line": 1, "id": "j1"}, refused]
    server.replies(answer(200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)))
    with pytest.raises(BatchRefused, match="1 of 2 jobs refused; job 2: unknown task 'x'") as caught:
        client.submit_many([Submission("solve"), Submission("x")])
    assert [job.id for job in caught.value.jobs] == ["j1"]
    assert isinstance(caught.value.refused[0][1], UnknownTask)


def test_a_large_batch_goes_in_parts(server: Server, client: Client) -> None:
    """A request has at most 1000 jobs, so that its commit is short."""
    server.replies(*(answer(200, b'{"line":1,"id":"a"}\n' * size) for size in (1000, 500)))
    assert len(client.submit_many(Submission("solve") for _ in range(1500))) == 1500
    assert [len(body.splitlines()) for *_, body in server.requests] == [1000, 500]


# ---- trying again, and giving up ----


def test_a_busy_gateway_is_asked_again_when_it_says(server: Server, client: Client) -> None:
    """503 with Retry-After is not an error at once."""
    server.replies(problem(503, "busy"), answer(200, VIEW))
    assert client.job("j1").state is JobState.QUEUED


def test_a_busy_gateway_that_asks_for_too_long_is_an_error_at_once(server: Server, client: Client) -> None:
    """With a patience of 3 s the client does not wait for 600 s."""
    server.replies(
        answer(503, {"title": "X", "status": 503, "detail": "too many jobs", "code": "busy"}, Retry_After="600")
    )
    began = time.monotonic()
    with pytest.raises(Unreachable, match="too many jobs"):
        client.job("j1")
    assert time.monotonic() - began < 2


def test_a_gateway_that_is_not_there_is_one_sentence() -> None:
    """The sentence has the address and the error of the kernel."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    told: list[EdgeError] = []
    settings = Settings(f"http://127.0.0.1:{port}", patience_s=0.5)
    said = f"cannot reach the gateway at http://127.0.0.1:{port}: connection refused"
    with Client(settings=settings, on_retry=told.append) as client, pytest.raises(Unreachable, match=said):
        client.status()
    assert told


def test_a_gateway_that_never_answers_is_given_up(server: Server) -> None:
    """After the read timeout the client raises one sentence."""
    server.replies(b"")
    settings = Settings(server.url, patience_s=0, read_s=0.2)
    with Client(settings=settings) as client, pytest.raises(Unreachable, match="no answer within"):
        client.status()


def test_connections_are_kept(server: Server, client: Client) -> None:
    """Ten requests use one connection."""
    server.replies(*[answer(200, VIEW)] * 10)
    for _ in range(10):
        client.job("j1")
    assert server.connections == 1


def test_a_token_never_follows_a_redirect(server: Server, client: Client) -> None:
    """A token belongs to one gateway."""
    server.replies(answer(302, b"", Location="http://127.0.0.1:9/"))
    with pytest.raises(GatewayError, match="answered 302"):
        client.job("j1")
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"\xff", b""])
def test_something_else_that_answers_is_no_gateway(server: Server, client: Client, body: bytes) -> None:
    """The page of a router at that port gives one sentence, not a traceback."""
    server.replies(answer(200, body))
    with pytest.raises(GatewayError, match="not an edge gateway"):
        client.job("j1")


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (404, "unknown-job", UnknownJob, 4),
        (410, "job-gone", JobGone, 4),
        (404, "unknown-file", UnknownFile, 4),
        (409, "key-reused", KeyReused, 2),
        (409, "wrong-state", WrongState, 1),
        (422, "bad-arguments", BadArguments, 2),
        (422, "unknown-task", UnknownTask, 2),
        (400, "bad-request", UsageError, 2),
        (413, "too-large", UsageError, 2),
        (401, "unauthenticated", NotAllowed, 5),
        (403, "forbidden", NotAllowed, 5),
        (500, "internal", GatewayError, 1),
        (507, "storage", GatewayError, 1),
        (418, "teapot", GatewayError, 1),
    ],
)
def test_a_problem_is_its_error_with_the_gateways_sentence(
    server: Server, client: Client, status: int, code: str, kind: type[EdgeError], exit_code: int
) -> None:
    """Each code has its class, so that programs need not read sentences."""
    server.replies(problem(status, code, "what the gateway said", job_id="j1"))
    with pytest.raises(kind) as caught:
        client.job("j1")
    assert str(caught.value) == "what the gateway said"
    assert caught.value.exit_code == exit_code
    if code in {"unknown-job", "job-gone"}:
        assert getattr(caught.value, "job_id", "") == "j1"


def test_an_id_cannot_leave_its_place(server: Server, client: Client) -> None:
    """Slashes and question marks in an id are quoted."""
    server.replies(answer(200, VIEW))
    client.job("../status?x=1#y")
    assert server.requests[0][1] == "/v1/jobs/..%2Fstatus%3Fx%3D1%23y"


# ---- waiting ----


def test_a_wait_ends_with_the_result(server: Server, client: Client) -> None:
    """202 means not yet, and 200 brings the result."""
    server.replies(answer(202, VIEW), answer(200, RESULT))
    assert client.wait("j1", timeout=5).value == 25


def test_a_wait_shows_progress(server: Server, client: Client) -> None:
    """Each view until the end is passed to `on_progress`."""
    seen: list[str] = []
    running = {**VIEW, "state": "running", "progress": {"done": 1, "total": 2}}
    server.replies(answer(202, running), answer(200, RESULT))
    client.wait(
        "j1", on_progress=lambda view: seen.append(f"{view.state} {view.progress.done if view.progress else ''}")
    )
    assert seen == ["running 1.0"]


def test_a_wait_that_is_over_says_why_there_is_no_result(server: Server, client: Client) -> None:
    """The error has the reason of the board."""
    server.replies(answer(202, {**VIEW, "waiting": "battery 38 % < 45 %"}))
    with pytest.raises(NotReady, match=r"no result yet: queued; battery 38 % < 45 %") as caught:
        client.result("j1")
    assert caught.value.exit_code == 6


def test_a_wait_outlasts_an_outage_of_the_board(server: Server) -> None:
    """After a power cut of the board the wait continues."""
    outages: list[EdgeError] = []
    server.replies(answer(202, VIEW), None, None, answer(200, RESULT))
    with Client(settings=Settings(server.url, patience_s=0)) as client:
        assert client.wait("j1", timeout=20, on_outage=outages.append).value == 25
    assert outages


def test_a_gateway_that_holds_nobody_is_not_asked_in_a_busy_loop(server: Server, client: Client) -> None:
    """With `gateway.max_wait_s: 0` it answers at once, so the client pauses between requests."""
    server.replies(*[answer(202, VIEW)] * 100)
    with pytest.raises(NotReady):
        client.wait("j1", timeout=1.0)
    assert len(server.requests) <= 4


def test_a_job_that_failed_has_no_value(server: Server, client: Client) -> None:
    """`value` raises with the reason, and `wait` returns the failure."""
    failed = {**RESULT, "state": "failed", "failure": {"code": "exception", "message": "division by zero"}}
    server.replies(answer(202, VIEW), answer(200, failed), answer(200, failed))
    job = client.submit("solve")
    assert job.wait().state is JobState.FAILED
    with pytest.raises(JobFailed, match="division by zero"):
        job.value()


def test_a_list_goes_through_the_pages(server: Server, client: Client) -> None:
    """Each page is fetched when it is needed, with the cursor of the page before."""
    server.replies(answer(200, {"jobs": [VIEW, VIEW], "next": "7"}), answer(200, {"jobs": [VIEW]}))
    assert len(list(client.list(state="queued", task="solve"))) == 3
    assert [path for _, path, _, _ in server.requests] == [
        "/v1/jobs?state=queued&task=solve&limit=100",
        "/v1/jobs?state=queued&task=solve&limit=100&cursor=7",
    ]


# ---- files ----


def with_file(content: bytes, name: str = "a.txt", sha256: str | None = None) -> bytes:
    """Return a result with one file."""
    from hashlib import sha256 as digest

    file = {"name": name, "size_bytes": len(content), "sha256": sha256 or digest(content).hexdigest()}
    return answer(200, {**RESULT, "files": [file], "folder": "f"})


def test_a_download_goes_on_where_it_broke_off(server: Server, client: Client, tmp_path: Path) -> None:
    """Bytes that arrived before the connection broke are not fetched again."""
    content = os.urandom(300_000)
    server.replies(with_file(content), Cut(answer(200, content)[:-100_000]), answer(206, content[200_000:]))
    path = client.download("j1", "a.txt", tmp_path)
    assert path.read_bytes() == content
    assert server.requests[2][2]["range"] == "bytes=200000-"
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_that_is_damaged_is_not_kept(server: Server, client: Client, tmp_path: Path) -> None:
    """The SHA-256 in the result decides. An older file of this name stays."""
    (tmp_path / "a.txt").write_bytes(b"older")
    server.replies(with_file(b"good", sha256="0" * 64), answer(200, b"evil"))
    with pytest.raises(GatewayError, match="SHA-256"):
        client.download("j1", "a.txt", tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd", "..", "a/b", "a\0b"])
def test_a_files_name_cannot_lead_elsewhere(server: Server, client: Client, tmp_path: Path, name: str) -> None:
    """This holds even if a gateway sends a result with such a name."""
    server.replies(with_file(b"x", name=name))
    with pytest.raises(UnknownFile):
        client.download("j1", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_file_is_told_with_those_there_are(server: Server, client: Client, tmp_path: Path) -> None:
    """The error lists the files, so that a person sees the mistake."""
    server.replies(with_file(b"x"))
    with pytest.raises(UnknownFile, match=r"it left a\.txt"):
        client.download("j1", "b.txt", tmp_path)


# ---- settings ----


def test_arguments_win_over_variables_over_the_file_over_the_default(tmp_path: Path) -> None:
    """Each of the four places is checked in turn."""
    file = tmp_path / "client.yaml"
    file.write_text("url: http://file:1/\npatience_s: 3\n")
    env = {"EDGE_CLIENT_CONFIG": str(file), "EDGE_URL": "http://env:2"}
    assert Settings.find(url="http://arg:3", env=env).url == "http://arg:3"
    assert Settings.find(env=env).url == "http://env:2"
    del env["EDGE_URL"]
    assert Settings.find(env=env) == Settings("http://file:1", None, patience_s=3)
    assert Settings.find(env={}).url == "http://127.0.0.1:8420"


def test_the_file_is_looked_for_at_home(tmp_path: Path) -> None:
    """The file is in ~/.config/edge or in the folder `edge` of XDG_CONFIG_HOME."""
    folder = tmp_path / ".config" / "edge"
    folder.mkdir(parents=True)
    (folder / "client.yaml").write_text("url: http://home:1")
    assert Settings.find(env={"HOME": str(tmp_path)}).url == "http://home:1"
    assert Settings.find(env={"XDG_CONFIG_HOME": str(tmp_path / ".config")}).url == "http://home:1"


def test_a_token_comes_from_wherever_it_is_given(tmp_path: Path) -> None:
    """The places are argument, EDGE_TOKEN, EDGE_TOKEN_FILE, the file, and the file that it names."""
    secret = tmp_path / "token"
    secret.write_text("from-file\n")
    secret.chmod(0o600)
    assert Settings.find(token="t", env={}).token == "t"
    assert Settings.find(token_file=secret, env={"EDGE_TOKEN": "x"}).token == "from-file"
    assert Settings.find(env={"EDGE_TOKEN": "x"}).token == "x"
    assert Settings.find(env={"EDGE_TOKEN_FILE": str(secret)}).token == "from-file"
    config = tmp_path / "client.yaml"
    config.write_text("token_file: token")
    assert Settings.find(env={"EDGE_CLIENT_CONFIG": str(config)}).token == "from-file"
    config.write_text("token: inside")
    config.chmod(0o600)
    assert Settings.find(env={"EDGE_CLIENT_CONFIG": str(config)}).token == "inside"


def test_a_token_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """A token file of more than 4096 bytes is refused. It is not cut."""
    secret = tmp_path / "token"
    secret.write_text("t" * 4097)
    secret.chmod(0o600)
    with pytest.raises(ConfigError, match="expected a file that holds just a token"):
        Settings.find(token_file=secret, env={})


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666])
def test_a_secret_that_everyone_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The error has the command that repairs it."""
    secret = tmp_path / "token"
    secret.write_text("t")
    secret.chmod(mode)
    with pytest.raises(ConfigError, match=f"run: chmod o= {secret}"):
        Settings.find(token_file=secret, env={})
    config = tmp_path / "client.yaml"
    config.write_text("token: t")
    config.chmod(mode)
    with pytest.raises(ConfigError, match=f"run: chmod o= {config}"):
        Settings.find(env={"EDGE_CLIENT_CONFIG": str(config)})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pi:8420",
        "ftp://pi",
        "http://",
        "http://pi:0",
        "http://pi:99999",
        "http://pi/?a",
        "http://pi/#a",
        "http://p i",
    ],
)
def test_a_bad_address_is_refused(url: str) -> None:
    """The error says what is expected."""
    with pytest.raises(ConfigError, match=r"expected http://HOST\[:PORT\]"):
        Settings.find(url=url or "x", env={})


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    """The password would end up in logs and lists of processes."""
    with pytest.raises(ConfigError) as caught:
        Settings.find(url="http://me:hunter2@pi:8420", env={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä"])
def test_a_bad_token_is_refused_without_showing_it(token: str) -> None:
    """A line break in it would be another header."""
    with pytest.raises(ConfigError, match=r"token = '\.\.\.'"):
        Settings.find(token=token, env={})


@pytest.mark.parametrize("text", ["- a", "urll: x", "url: 3", "patience_s: -1", "a: [", "url: http://x\nurl: {"])
def test_a_bad_client_file_is_one_line(tmp_path: Path, text: str) -> None:
    """The line names the file."""
    config = tmp_path / "client.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Settings.find(env={"EDGE_CLIENT_CONFIG": str(config)})
    assert str(config) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_does_not_show_in_a_log() -> None:
    """`repr` leaves the token out."""
    assert "secret" not in repr(Settings("http://pi", "secret"))


# ---- weight ----

DEVICE = ("aiohttp", "celery", "kombu", "amqp", "chatterbot", "spacy", "gpiozero", "psutil")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("edge.client", (*DEVICE, "rich", "yaml", "click")),
        ("edge.cli.main", (*DEVICE, "rich", "yaml", "urllib3", "msgspec")),
        ("edge.cli.jobs.submit", (*DEVICE, "rich", "yaml", "urllib3", "msgspec")),
    ],
)
def test_an_import_brings_nothing_it_does_not_need(module: str, absent: tuple[str, ...]) -> None:
    """Each library slows the start on a Pi Zero, and a laptop does not have those of the board."""
    script = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
