"""Runs a gateway on a real port, in a thread of the test process, and writes results in place of a worker."""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import urllib3

from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.signature import Signature
from edge.config import Config
from edge.core.layout import Layout
from edge.gateway.app import Gateway
from edge.model import JobState, Result
from edge.results.store import Results


@dataclass
class Answer:
    """An HTTP answer: status, headers (their case does not matter), body."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded as JSON."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The lines of the body, each decoded as JSON."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class RunningGateway:
    """A gateway under test, on the event loop of a separate thread. Its methods may be called from any other thread."""

    config: Config
    gateway: Gateway
    port: int
    loop: asyncio.AbstractEventLoop
    _thread: threading.Thread
    _selector: selectors.BaseSelector
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=128, retries=False))

    @property
    def layout(self) -> Layout:
        """The paths of its files."""
        return self.config.layout

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 20.0, **headers: str) -> Answer:
        """Send a request below `/v1` and return the answer.

        A body that is not bytes is sent as JSON. `_` in the names of headers stands for `-`.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"http://127.0.0.1:{self.port}/v1{path}"
        got = self._pool.request(method, url, body=body, headers=sent, timeout=timeout)
        return Answer(got.status, got.headers, got.data)

    def submit(self, task: str = "echo", *args: Any, **headers: Any) -> str:
        """Submit a job that must be accepted, and return its id."""
        answer = self.ask("POST", "/jobs", {"task": task, "args": list(args or ["hello"])}, **headers)
        assert answer.status in (200, 202), answer.body
        return str(answer.json["id"])

    def finish(self, job_id: str, value: Any = None, files: dict[str, bytes] | None = None) -> None:
        """Publish a result, as a worker does at the end of a job."""
        results = Results(self.layout)
        staging = results.stage(job_id)
        for name, content in (files or {}).items():
            staging.file(name).write_bytes(content)
        now = time.time()
        result = Result(job_id, "echo", JobState.SUCCEEDED, value=value, started_at=now - 1, finished_at=now)
        results.publish(result, staging)

    def becomes(self, job_id: str, state: str, within_s: float = 10.0) -> Any:
        """Wait until the job is in `state`, and return its view."""
        deadline = time.monotonic() + within_s
        while True:
            view = self.ask("GET", f"/jobs/{job_id}").json
            if view.get("state") == state:
                return view
            assert time.monotonic() < deadline, view
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the gateway as SIGTERM does."""
        asyncio.run_coroutine_threadsafe(self.gateway.stop(), self.loop).result(30)
        self._pool.clear()
        asyncio.run_coroutine_threadsafe(self._hung_up(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _hung_up(self) -> None:
        """Return once no connection is left; a TLS connection is closed only after the peer is notified."""
        async with asyncio.timeout(10):
            while len(self._selector.get_map()) > 1:  # one entry is the loop's own pipe
                await asyncio.sleep(0.01)


def catalogue() -> Catalogue:
    """Return a catalogue of three kinds of job, described as in a real catalogue."""

    def echo(text: str, times: int = 1) -> str: ...  # type: ignore[empty-body]
    def total(numbers: list[float], *, scale: float = 1.0) -> float: ...  # type: ignore[empty-body]
    def nothing() -> None: ...

    kinds = {}
    for function in (echo, total, nothing):
        signature = Signature.of(function)
        name = function.__name__
        kinds[name] = TaskInfo(name=name, positional=signature.positional, schema=signature.schema())
    return Catalogue(kinds, {})


StartGateway = Callable[[Config], RunningGateway]


@contextmanager
def gateways() -> Iterator[StartGateway]:
    """Yield `start(config)`, which starts a gateway that runs until the block ends."""
    running: list[RunningGateway] = []

    def start(config: Config) -> RunningGateway:
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        thread = threading.Thread(target=loop.run_forever, name="gateway-loop", daemon=True)
        thread.start()

        async def go() -> tuple[Gateway, int]:
            gateway = Gateway(config, catalogue)
            return gateway, await gateway.start()

        gateway, port = asyncio.run_coroutine_threadsafe(go(), loop).result(30)
        running.append(RunningGateway(config, gateway, port, loop, thread, selector))
        return running[-1]

    try:
        yield start
    finally:
        for gateway in running:
            if not gateway.loop.is_closed():
                gateway.stop()
