"""The gateway serves HTTPS with its certificate, and refuses one that cannot be used."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from edge.config import GatewayConfig, load
from edge.core.errors import ConfigError
from edge.gateway.http import tls
from edge.gateway.http.server import Server


def make_pair(folder: Path, *options: str) -> tuple[Path, Path]:
    """Make a key and a self-signed certificate for 127.0.0.1. Return their paths, the certificate first."""
    folder.mkdir(exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    argv += ["-subj", "/CN=edge", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*argv, *(options or ["-nodes"])], check=True, capture_output=True)
    return cert, key


async def _get(port: int, cert: Path, *, requests: int = 1) -> list[bytes]:
    trust = ssl.create_default_context(cafile=str(cert))
    answers, writers = [], []
    for _ in range(requests):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers.append(await reader.readline())
        writers.append(writer)
    for writer in writers:
        writer.close()
    return answers


def _app() -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/hello", hello)
    return app


def test_https_is_served_and_refuses_a_connection_over_the_limit(tmp_path: Path) -> None:
    """A client that trusts the certificate gets its answer. A connection over the limit gets a 503, over TLS too."""
    cert, key = make_pair(tmp_path)

    async def scenario() -> list[bytes]:
        context = tls.context(GatewayConfig(tls_cert=cert, tls_key=key))
        server = Server(_app(), host="127.0.0.1", port=0, max_connections=1, tls=context)
        port = await server.open()
        try:
            return await _get(port, cert, requests=2)
        finally:
            await server.close()

    first, second = asyncio.run(scenario())
    assert b" 200 " in first
    assert b" 503 " in second


def test_no_certificate_means_plain_http() -> None:
    """Without a configured certificate there is no SSL context."""
    assert tls.context(GatewayConfig()) is None


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    """A certificate without its key stops the start and names the missing key."""
    path = tmp_path / "edge.yaml"
    path.write_text("gateway: {tls_cert: cert.pem}\n")
    with pytest.raises(ConfigError, match=r"gateway\.tls_key"):
        load(path, env={})


def test_pair_is_relative_to_the_file(tmp_path: Path) -> None:
    """The paths of certificate and key are relative to edge.yaml, like every path in it."""
    path = tmp_path / "edge.yaml"
    path.write_text("gateway: {tls_cert: cert.pem, tls_key: key.pem}\n")
    config = load(path, env={}).config
    assert config.gateway.tls_cert == tmp_path / "cert.pem"
    assert config.gateway.scheme == "https"


def test_unusable_pairs_name_the_key(tmp_path: Path) -> None:
    """A key that is missing, foreign or encrypted, and a file that is not PEM, are refused at the start.

    Each gets one sentence. Without the check, the error would come only at the first handshake.
    """
    cert, key = make_pair(tmp_path)
    _, other = make_pair(tmp_path / "other")
    locked_cert, locked_key = make_pair(tmp_path / "locked", "-passout", "pass:secret")
    text = tmp_path / "text.pem"
    text.write_text("no pem\n")
    for config, message in (
        (GatewayConfig(tls_cert=cert, tls_key=tmp_path / "none"), r"gateway\.tls_key.*No such file"),
        (GatewayConfig(tls_cert=cert, tls_key=other), "does not belong"),
        (GatewayConfig(tls_cert=locked_cert, tls_key=locked_key), "encrypted"),
        (GatewayConfig(tls_cert=text, tls_key=key), r"gateway\.tls_cert.*PEM"),
    ):
        with pytest.raises(ConfigError, match=message):
            tls.context(config)
