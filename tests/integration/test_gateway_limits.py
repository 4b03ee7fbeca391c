"""The gateway survives too many connections, too many bytes, slow clients, unknown methods and broken HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import aiohttp
import pytest

from edge.catalog.catalogue import Catalogue
from edge.config import Config
from edge.gateway.service import Appliance
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

HEALTHZ = b"GET /v1/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextmanager
def connected(gateway: RunningGateway, sent: bytes = b"") -> Iterator[socket.socket]:
    """Open a bare connection, and send `sent`."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
        link.sendall(sent)
        yield link


def read_all(link: socket.socket) -> bytes:
    """Read everything until the other side closes."""
    chunks = []
    while chunk := link.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_one_connection_too_many_gets_an_answer(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A connection over the limit gets 503 with Retry-After at once, even if it sends nothing; others stay open."""
    gateway = start_gateway(make_config(gateway={"max_connections": 3}))
    with ExitStack() as stack:
        inside = [stack.enter_context(connected(gateway)) for _ in range(3)]
        for sent in (
            b"",
            HEALTHZ,
            b"POST /v1/jobs HTTP/1.1\r\n" + b"x" * 50_000,
        ):
            with connected(gateway, sent) as link:
                head, _, body = read_all(link).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in head
            assert b'"code":"busy"' in body
        inside[0].sendall(HEALTHZ)
        assert inside[0].recv(100).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 10
    while gateway.ask("GET", "/healthz").status != 200:
        assert time.monotonic() < deadline


def test_a_body_over_the_limit_is_refused(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A body over the limit gets 413, with or without a length, compressed or not."""
    gateway = start_gateway(make_config(gateway={"max_body_bytes": 2048}))
    body = b'{"task":"echo","args":["' + b"x" * 3000 + b'"]}'
    assert gateway.ask("POST", "/jobs", body).status == 413
    packed = gateway.ask("POST", "/jobs", gzip.compress(body), Content_Encoding="gzip")
    assert (packed.status, packed.json["code"]) == (413, "too-large")
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with connected(gateway, chunked) as link:
        assert link.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["jobs", "jobs/batch"])
def test_a_body_that_is_announced_too_large_is_not_waited_for(
    make_config: MakeConfig, start_gateway: StartGateway, path: str
) -> None:
    """A body with too large an announced length gets 413 before any of it is sent, which spares a slow link."""
    gateway = start_gateway(make_config(gateway={"max_body_bytes": 2048, "max_batch_bytes": 4096}))
    media = "application/x-ndjson" if path.endswith("batch") else "application/json"
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: 4097\r\n\r\n"
    with connected(gateway, head.encode()) as link:
        assert link.recv(100).startswith(b"HTTP/1.1 413")


def test_a_line_of_a_batch_is_held_to_the_size_of_a_job(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A line of a batch over the limit is refused, because the broker would refuse its message; others are accepted."""
    gateway = start_gateway(make_config(gateway={"max_body_bytes": 2048}))
    lines = b"".join(b'{"task":"echo","args":["%s"]}\n' % (b"x" * size) for size in (10, 3000, 20))
    answer = gateway.ask("POST", "/jobs/batch", lines, Content_Type="application/x-ndjson")
    assert [line.get("problem", {}).get("code") for line in answer.lines] == [None, "too-large", None]


def test_a_packed_body_is_unpacked(gateway: RunningGateway) -> None:
    """A gzip body is unpacked, which helps slow Wi-Fi; a broken one is a bad request."""
    body = b'{"task":"nothing"}'
    assert gateway.ask("POST", "/jobs", gzip.compress(body), Content_Encoding="gzip").status == 202
    assert gateway.ask("POST", "/jobs", body, Content_Encoding="gzip").status == 400


def test_a_body_that_does_not_come_is_not_waited_for_ever(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that does not come in time gets 408, and the job is not accepted."""
    monkeypatch.setattr("edge.gateway.api.submit._JOB_S", 0.2)
    head = POST + b"Content-Length: 100\r\n\r\n{"
    with connected(gateway, head) as link:
        assert link.recv(100).startswith(b"HTTP/1.1 408")
    assert gateway.ask("GET", "/jobs").json["jobs"] == []


def test_a_client_that_leaves_in_the_middle_harms_nobody(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves after half a body causes no error and no job."""
    head = POST + b"Content-Length: 100\r\n\r\n{"
    for _ in range(10):
        with connected(gateway, head):
            pass
    assert gateway.ask("GET", "/jobs").json["jobs"] == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_headers_that_never_end_are_cut_off(
    make_config: MakeConfig, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without a complete request is closed, even if it keeps sending single bytes."""
    monkeypatch.setattr("edge.gateway.http.server._IDLE_S", 0.5)
    gateway = start_gateway(make_config())
    with connected(gateway, b"GET /v1/healthz HTTP/1.1\r\n") as link:
        deadline = time.monotonic() + 10
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as it happens
            while time.monotonic() < deadline:
                link.sendall(b"X-Header: more\r\n")
                time.sleep(0.05)


def test_a_slow_client_holds_up_nobody(gateway: RunningGateway) -> None:
    """While one client sends slowly and one does not read its answer, others are served."""
    big = gateway.submit()
    gateway.finish(big, files={"big": bytes(20_000_000)})
    gateway.becomes(big, "succeeded")
    head = POST + b"Content-Length: 18\r\n\r\n"
    fetch = f"GET /v1/jobs/{big}/files/big HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with connected(gateway, head) as slow, connected(gateway, fetch) as deaf:
        began = time.monotonic()
        for _ in range(20):
            gateway.submit()
        assert time.monotonic() - began < 5
        for byte in b'{"task":"nothing"}':
            slow.sendall(bytes([byte]))
        assert slow.recv(100).startswith(b"HTTP/1.1 202")
        assert deaf.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/healthz HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"GET /v1/healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/healthz HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/healthz HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /v1/healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_no_http_gets_a_problem_and_no_traceback(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Broken HTTP gets 400 as a problem document, the connection is closed, and nothing is logged."""
    with connected(gateway, sent) as link:
        head, _, body = read_all(link).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head
    assert b"not HTTP" in body
    assert not [record for record in caplog.records if record.exc_info]


def test_a_wrong_method_gets_the_methods_of_its_path(gateway: RunningGateway) -> None:
    """A wrong method gets 405 with Allow; OPTIONS answers with Allow too; HEAD works for every GET."""
    for method in ("PUT", "PATCH", "DELETE"):
        answer = gateway.ask(method, "/jobs")
        assert (answer.status, answer.json["code"]) == (405, "method-not-allowed")
        assert answer.headers["Allow"] == "GET, HEAD, POST"
    options = gateway.ask("OPTIONS", "/jobs")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    head = gateway.ask("HEAD", "/jobs")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/", "/jobs/", "/jobs/a/b", "/../etc/passwd", "/jobs/%2e%2e", "/%00", "/%ff", "//"])
def test_unknown_paths_are_problems(gateway: RunningGateway, path: str) -> None:
    """Any unknown path gets 404 as a problem document."""
    answer = gateway.ask("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("job_id", ["-x", "a%20b", "a" * 129, "%C3%A4", ".hidden", "a%0Ab"])
def test_ids_that_cannot_be_are_unknown_jobs(gateway: RunningGateway, job_id: str) -> None:
    """An invalid id is an unknown job, and never reaches a file name."""
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result", f"/jobs/{job_id}/files/a"):
        answer = gateway.ask("GET", path)
        assert (answer.status, answer.json["code"]) == (404, "unknown-job")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("state=lost", "query state = 'lost': expected one of accepted"),
        ("limit=0", "query limit = '0': expected int >= 1"),
        ("limit=501", "expected int <= 500"),
        ("limit=x", "expected int"),
        ("state=null", "expected one of"),
        ("cursor=null", "query cursor = 'null'"),
        ("cursor=x", "query cursor = 'x'"),
        ("cursor=99999999999999999999", "query cursor"),
        ("limt=5", "query 'limt' is unknown; allowed here: state, task, limit, cursor"),
        ("limit=5&limit=6", "query 'limit' is given twice"),
        ("task=", "query task = ''"),
        ("task=%ff", ""),
        ("state=%00", "query state"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(gateway: RunningGateway, query: str, detail: str) -> None:
    """A bad query gets 400 with name, value and what is allowed; an unknown task name lists nothing."""
    answer = gateway.ask("GET", f"/jobs?{query}")
    assert answer.status == (400 if detail else 200)
    assert detail in answer.body.decode()


def test_what_nobody_foresaw_is_500_without_our_insides(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error gets 500 without details, and its traceback is in the log once."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(Appliance, "page", broken)
    answer = gateway.ask("GET", "/jobs")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"secret" not in answer.body
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_many_clients_at_once_are_all_served(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """Two hundred connections submit and read at the same time, and each gets its own job."""
    gateway = start_gateway(make_config(gateway={"max_connections": 250}))

    async def one(session: aiohttp.ClientSession, number: int) -> str:
        body = {"task": "echo", "args": [str(number)]}
        async with session.post(f"http://127.0.0.1:{gateway.port}/v1/jobs", json=body) as answer:
            assert answer.status == 202
            job_id: str = (await answer.json())["id"]
        async with session.get(f"http://127.0.0.1:{gateway.port}/v1/jobs/{job_id}") as answer:
            assert (await answer.json())["id"] == job_id
        return job_id

    async def all_of_them() -> list[str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
            return await asyncio.gather(*(one(session, number) for number in range(400)))

    assert len(set(asyncio.run(all_of_them()))) == 400


def test_batches_that_would_not_fit_in_memory_are_asked_to_come_again(
    make_config: MakeConfig, start_gateway: StartGateway
) -> None:
    """Two batches of the largest size are accepted at once; a third gets 503 with Retry-After, and later succeeds."""
    gateway = start_gateway(make_config(gateway={"max_batch_bytes": 4096}))
    head = (
        b"POST /v1/jobs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: 4096\r\n\r\n"
    )
    line = b'{"task": "solve", "args": [1, "2 + 2"]}\n'

    def status() -> int:
        return gateway.ask("POST", "/jobs/batch", line * 90, Content_Type="application/x-ndjson").status

    with connected(gateway, head), connected(gateway, head):
        deadline = time.monotonic() + 20
        while status() != 503:
            assert time.monotonic() < deadline
    while status() != 200:
        assert time.monotonic() < deadline + 20


@pytest.mark.parametrize(("path", "media"), [("/jobs", "application/json"), ("/jobs/batch", "application/x-ndjson")])
def test_arguments_that_take_long_to_check_hold_up_nobody(
    config: Config, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, path: str, media: str
) -> None:
    """Slow checks of arguments do not block the gateway; a mebibyte of numbers once blocked it for seconds."""
    checks, goes_on, check = threading.Event(), threading.Event(), Catalogue.check

    def slow(self: Catalogue, *call: Any, **options: Any) -> None:
        checks.set()
        assert goes_on.wait(20)
        check(self, *call, **options)

    monkeypatch.setattr(Catalogue, "check", slow)
    gateway = start_gateway(config)
    body = b'{"task":"total","args":[[' + b"1," * 3000 + b"1]]}"
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(gateway.ask, "POST", path, body, Content_Type=media)
        assert checks.wait(10)
        try:
            assert gateway.ask("GET", "/tasks", timeout=5).status == 200
        finally:
            goes_on.set()
        assert taken.result(20).status in (200, 202)


@pytest.mark.parametrize("coding", [b"deflate", b"gzip"])
def test_a_body_that_its_coding_contradicts_is_refused_without_a_traceback(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, coding: bytes
) -> None:
    """A body that contradicts its Content-Encoding gets 400, and the connection is closed, as the answer says."""
    body = b'{"task":"nothing"}'
    with caplog.at_level(logging.ERROR), connected(gateway) as link:
        link.sendall(POST + b"Content-Encoding: " + coding + b"\r\nContent-Length: 18\r\n\r\n" + body)
        answer = read_all(link)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()
    assert b"the body cannot be read" in answer
    assert not caplog.records


@pytest.mark.parametrize("path", ["/v1/jobs", "/nowhere"])
def test_a_garbled_body_that_nobody_read_leaves_no_traceback(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """A garbled body that is refused by type or path leaves no traceback, with which anybody could fill the log."""
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 18\r\n\r\n".encode()
    with caplog.at_level(logging.ERROR), connected(gateway) as link:
        link.sendall(head + b'{"task":"nothing"}')
        answer = read_all(link)
    assert answer.startswith(b"HTTP/1.1 40")
    assert not caplog.records


@pytest.mark.parametrize("path", ["/v1/jobs", "/nowhere", "/v1/jobs/x"])
def test_an_expectation_that_is_not_known_is_a_problem_document(gateway: RunningGateway, path: str) -> None:
    """An unknown Expect header gets a problem document, although aiohttp itself would answer plain text."""
    with connected(gateway) as link:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\nConnection: close\r\n"
        link.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
        head_, _, body = read_all(link).partition(b"\r\n\r\n")
    assert head_.startswith(b"HTTP/1.1 417 ")
    assert b"application/problem+json" in head_
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (417, "bad-request")
    assert "a-miracle" in problem["detail"]
