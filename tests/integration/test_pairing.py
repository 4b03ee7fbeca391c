"""Pairing over real TLS, with `edge pair` on one side, `edge token approve` on the other, and an attacker between."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web

from edge.access.tokens import Scope, Tokens
from edge.cli.main import main
from edge.client import Client, Settings
from edge.core.errors import Unreachable
from edge.model.pairing import commitment
from tests.conftest import MakeConfig
from tests.integration.test_cli_https import make_certificate
from tests.running_gateway import RunningGateway, StartGateway


@dataclass
class Laptop:
    """A machine with a separate folder, on which `edge pair` runs."""

    home: Path
    process: subprocess.Popen[str] | None = None
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    @property
    def env(self) -> dict[str, str]:
        """Its environment, without variables of the caller."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
        return env | {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / ".config")}

    @property
    def files(self) -> set[str]:
        """Return the files that it keeps."""
        return {path.name for path in (self.home / ".config/edge").glob("*")}

    def pair(self, url: str, *options: str) -> str:
        """Start `edge pair`, and return the code that it shows."""
        argv = [sys.executable, "-m", "edge.cli.main", "--json", "pair", url, "--name", "laptop", *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=self.env)
        stdout = self.process.stdout
        assert stdout is not None

        def read() -> None:
            for line in stdout:
                self.lines.put(line)

        threading.Thread(target=read, daemon=True).start()
        try:
            return str(json.loads(self.lines.get(timeout=30))["code"])
        except queue.Empty:
            self.process.kill()
            raise AssertionError(self.process.communicate()[1]) from None

    def ended(self) -> tuple[int, str]:
        """Wait for the end, and return exit code and stderr."""
        assert self.process is not None
        code = self.process.wait(30)
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            return code, stderr.read()

    def client(self) -> Client:
        """Return a client with the settings of later commands."""
        return Client(settings=Settings.find(env=self.env))


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """A laptop; its `edge pair` is killed at the end of the test."""
    (tmp_path / "home").mkdir()
    laptop = Laptop(tmp_path / "home")
    yield laptop
    if laptop.process is not None:
        laptop.process.kill()
        laptop.process.wait(30)
        for pipe in (laptop.process.stdout, laptop.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def board(make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path) -> RunningGateway:
    """A gateway with a self-signed certificate for another name, which requires tokens."""
    certificate = make_certificate(tmp_path, "DNS:board.example")
    files = {"tls_cert": str(certificate), "tls_key": str(tmp_path / "key.pem")}
    return start_gateway(make_config(gateway={"loopback_without_token": False, **files}))


def url_of(board: RunningGateway) -> str:
    """Return the address of the gateway."""
    return f"https://127.0.0.1:{board.port}"


def approve(board: RunningGateway, code: str, *options: str) -> int:
    """Run `edge token approve` on the board."""
    return main(["--config", str(board.layout.root.parent / "edge.yaml"), "token", "approve", code, *options])


def test_a_laptop_pairs_with_a_board_it_never_saw(
    board: RunningGateway, laptop: Laptop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code is confirmed on the board; token and certificate are kept, and later commands need nothing else."""
    code = laptop.pair(url_of(board))
    assert approve(board, code.lower(), "--scope", "submit", "--scope", "read") == 0
    assert "a machine at 127.0.0.1 has access now: token 'laptop' may read, submit" in capsys.readouterr().out
    assert laptop.ended()[0] == 0
    host = f"127.0.0.1-{board.port}"
    assert laptop.files == {"client.yaml", f"{host}.token", f"{host}-certificate.pem"}
    assert all((laptop.home / ".config/edge" / name).stat().st_mode & 0o077 == 0 for name in laptop.files)
    with laptop.client() as client:
        assert client.submit("echo", "hello").id
    assert not list(board.layout.pairing.parent.iterdir())
    assert approve(board, code) == 4  # a code is valid only once


def test_the_certificate_is_kept(board: RunningGateway, laptop: Laptop, tmp_path: Path) -> None:
    """Another certificate at that address is not trusted, even with a known CA."""
    assert approve(board, laptop.pair(url_of(board))) == 0
    assert laptop.ended()[0] == 0
    with served(answering({}), tmp_path) as port:
        path = laptop.home / ".config/edge/client.yaml"
        path.write_text(path.read_text().replace(f":{board.port}", f":{port}"))
        with laptop.client() as client, pytest.raises(Unreachable, match="edge pair"):
            client.status()


@pytest.mark.parametrize("how", ["refused", "ctrl-c", "restarted"])
def test_a_pairing_that_ends_without_a_token_leaves_no_file(board: RunningGateway, laptop: Laptop, how: str) -> None:
    """A pairing without a token ends with one sentence, and leaves no file."""
    code = laptop.pair(url_of(board))
    assert laptop.process is not None
    if how == "refused":
        secret = Tokens(board.layout.tokens).add("root", [Scope.ADMIN])
        assert asked(board, "DELETE", f"pairings/{code}", secret)[0] == 204
    elif how == "ctrl-c":
        laptop.process.send_signal(2)
    else:
        board.gateway.appliance.pairings._book._pairings.clear()
        board.loop.call_soon_threadsafe(board.gateway.appliance.pairings._changed)
    status, output = laptop.ended()
    assert status == (130 if how == "ctrl-c" else 1)
    assert {"refused": "refused this machine", "restarted": "ask again", "ctrl-c": ""}[how] in output
    assert laptop.files == set()
    assert approve(board, code) == 4


def test_an_admin_approves_over_http(board: RunningGateway, laptop: Laptop) -> None:
    """An admin approves with the code of the laptop, which the list does not show; the gateway has the token."""
    secret = Tokens(board.layout.tokens).add("root", [Scope.ADMIN])
    code = laptop.pair(url_of(board))
    status, listed = asked(board, "GET", "pairings", secret)
    assert status == 200
    assert [(each["name"], each["address"]) for each in listed["pairings"]] == [("laptop", "127.0.0.1")]
    assert code[:5] not in json.dumps(listed)
    body = {"scopes": ["submit"], "name": "annas-laptop"}
    assert asked(board, "POST", f"pairings/{code}", secret, body)[0] == 200
    assert laptop.ended()[0] == 0
    assert "annas-laptop" in board.layout.paired.read_text()
    assert "annas-laptop" not in board.layout.tokens.read_text()
    with laptop.client() as client:
        assert client.submit("echo", "hello").id


def test_who_may_not_admit_cannot_approve(board: RunningGateway, laptop: Laptop) -> None:
    """Without the right to approve, a token cannot see the requests either."""
    code = laptop.pair(url_of(board))
    for secret in ("", Tokens(board.layout.tokens).add("anna", [Scope.SUBMIT, Scope.READ])):
        for method, path in (("GET", "pairings"), ("POST", f"pairings/{code}"), ("DELETE", f"pairings/{code}")):
            assert asked(board, method, path, secret, {"scopes": ["submit"]})[0] in (401, 403)


def test_who_sits_between_is_found_on_the_board(board: RunningGateway, laptop: Laptop, tmp_path: Path) -> None:
    """An attacker who relays all messages with another certificate is noticed: the board does not know the code."""
    with served(relaying(url_of(board)), tmp_path) as port:
        code = laptop.pair(f"https://127.0.0.1:{port}")
        assert approve(board, code) == 4
        assert Tokens(board.layout.tokens).list() == ()
        assert laptop.process is not None
        laptop.process.send_signal(2)
        assert laptop.ended()[0] == 130


@pytest.mark.parametrize("echo", ["", "00"])
def test_nobody_between_can_say_yes_for_the_board(laptop: Laptop, tmp_path: Path, echo: str) -> None:
    """An attacker cannot play an approval without the end of the code, which only the laptop and its reader know."""
    yes = {"state": "approved", "name": "laptop", "scopes": ["submit"], "echo": echo}
    with served(answering(yes), tmp_path) as port:
        code = laptop.pair(f"https://127.0.0.1:{port}")
        status, output = laptop.ended()
    if code.replace("-", "")[5:7] != echo:  # the attacker guessed it, which succeeds once in 1,024 times
        assert (status, laptop.files) == (1, set()), output
        assert "does not know the code" in output


def test_a_number_that_was_exchanged_is_noticed(laptop: Laptop, tmp_path: Path) -> None:
    """An exchanged number is noticed before a code is shown, so an attacker cannot choose it after the laptop's."""
    with served(answering({}, commits_to="1" * 32), tmp_path) as port:
        argv = [sys.executable, "-m", "edge.cli.main", "pair", f"https://127.0.0.1:{port}"]
        done = subprocess.run(argv, env=laptop.env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "somebody may be between" in done.stderr
    assert done.stdout == ""


def test_over_plain_http_it_works_and_says_what_that_means(
    make_config: MakeConfig, start_gateway: StartGateway, laptop: Laptop
) -> None:
    """Plain HTTP is allowed on this machine; to another machine a line warns of it."""
    board = start_gateway(make_config(gateway={"loopback_without_token": False}))
    assert approve(board, laptop.pair(f"http://127.0.0.1:{board.port}")) == 0
    assert laptop.ended()[0] == 0
    with laptop.client() as client:
        assert client.submit("echo", "hello").id


def test_too_many_requests_are_refused_with_a_time(board: RunningGateway) -> None:
    """Too many requests get 429 with Retry-After."""
    body = {"name": "x", "sha256": "0" * 64}
    answers = [asked(board, "POST", "pair", "", body | {"sha256": f"{number:064x}"})[0] for number in range(8)]
    assert answers == [201] * 6 + [429] * 2


# ---- who answers in the board's place ----


def asked(board: RunningGateway, method: str, path: str, secret: str, body: Any = None) -> tuple[int, Any]:
    """Send one request to the board with any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    data = None if body is None or method in ("GET", "DELETE") else json.dumps(body).encode()
    request = urllib.request.Request(f"{url_of(board)}/v1/{path}", data=data, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=20) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as err:
        with err:
            return err.code, json.loads(err.read())


def relaying(url: str) -> web.Application:
    """Make a server that relays every request to the board."""

    async def relay(request: web.Request) -> web.StreamResponse:
        async with ClientSession(connector=TCPConnector(ssl=False)) as session:
            headers = {"Content-Type": "application/json"} if request.body_exists else {}
            sent = session.request(
                request.method, url + str(request.rel_url), data=await request.read(), headers=headers
            )
            async with sent as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", relay)
    return app


def answering(view: dict[str, Any], *, commits_to: str = "2" * 32) -> web.Application:
    """Make a server that plays a gateway, and answers with `view` to waiting clients."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            body = {"id": "a" * 32, "commitment": commitment(commits_to), "expires_s": 300.0}
        elif request.method == "PUT":
            body = {"nonce": "2" * 32, "expires_s": 300.0}
        else:
            body = view
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


@contextmanager
def served(app: web.Application, folder: Path) -> Iterator[int]:
    """Serve `app` with a new certificate, and yield the port."""
    own = folder / f"between-{time.monotonic_ns()}"
    own.mkdir()
    certificate = make_certificate(own, "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, own / "key.pem")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> int:
        await runner.setup()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            chosen: int = probe.getsockname()[1]
        await web.TCPSite(runner, "127.0.0.1", chosen, ssl_context=context, reuse_address=True).start()
        return chosen

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
