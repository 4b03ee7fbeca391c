"""A gateway with a self-signed certificate is trusted if the client has it, and refused with a sentence if not."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import cast

import pytest

from edge.cli.main import main
from edge.client import Client, Settings
from edge.core.errors import ConfigError, Unreachable
from edge.up import demo, hint, readiness
from edge.up.child import Child
from tests.conftest import MakeConfig
from tests.running_gateway import StartGateway


def make_certificate(folder: Path, name: str) -> Path:
    """Make a self-signed certificate for `name`, with its key next to it."""
    cert = folder / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=edge"]
    argv += ["-addext", f"subjectAltName={name}", "-keyout", str(folder / "key.pem"), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return cert


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key next to it."""
    return make_certificate(tmp_path, "IP:127.0.0.1")


@pytest.fixture
def url(make_config: MakeConfig, start_gateway: StartGateway, certificate: Path) -> str:
    """The address of a gateway with the certificate."""
    files = {"tls_cert": str(certificate), "tls_key": str(certificate.with_name("key.pem"))}
    return f"https://127.0.0.1:{start_gateway(make_config(gateway=files)).port}"


def test_a_certificate_that_is_named_is_trusted(url: str, certificate: Path) -> None:
    """The certificate is trusted by EDGE_CA_FILE, or by `ca_file` in the client's file."""
    settings = Settings.find(url=url, env={"EDGE_CA_FILE": str(certificate)})
    with Client(settings=settings) as client:
        assert client.submit("echo", "hello").id
    file = certificate.with_name("client.yaml")
    file.write_text(f"url: {url}\nca_file: cert.pem\n")
    with Client(settings=Settings.find(env={"EDGE_CLIENT_CONFIG": str(file)})) as client:
        assert client.status().tasks == 3


def test_edge_up_sees_that_a_gateway_with_a_certificate_is_ready(
    make_config: MakeConfig, start_gateway: StartGateway, certificate: Path
) -> None:
    """`edge up` asks over HTTPS, trusts the gateway that it has started, and prints an address that works."""
    files = {"tls_cert": str(certificate), "tls_key": str(certificate.with_name("key.pem"))}
    config = make_config(gateway=files)
    port = start_gateway(config).port
    assert asyncio.run(readiness.gateway(config.gateway, cast("Child", None)))
    url = hint.url(config.gateway)
    assert url == f"https://127.0.0.1:{port}"
    _, curl = hint.how_to_submit(url, certificate=certificate)
    words = [*shlex.split(curl)[:-1], '{"task": "echo", "args": ["hello"]}']
    done = subprocess.run(words, capture_output=True, check=True)
    assert b'"state":"accepted"' in done.stdout


def test_doctor_trusts_the_certificate_of_the_configuration(
    make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doctor trusts the configured certificate, even if not for loopback and without a known CA, and no other one."""
    certificate = make_certificate(tmp_path, "DNS:board.example")
    (tmp_path / "ca.pem").write_text("of an earlier certificate")
    start_gateway(make_config(gateway={"tls_cert": str(certificate), "tls_key": str(tmp_path / "key.pem")}))

    def gateway() -> dict[str, str]:
        main(["--config", str(tmp_path / "edge.yaml"), "doctor", "--json"])
        (found,) = (each for each in map(json.loads, capsys.readouterr().out.splitlines()) if each["part"] == "gateway")
        return cast("dict[str, str]", found)

    assert gateway()["level"] == "ok"
    make_certificate(tmp_path, "IP:127.0.0.1")
    assert gateway()["level"] == "FAIL"
    assert "another certificate than" in gateway()["text"]
    certificate.unlink()
    assert gateway()["level"] == "FAIL"


def test_a_certificate_that_is_not_trusted_is_one_sentence_at_once(url: str) -> None:
    """A certificate that is not trusted fails at once with one sentence, because a retry cannot help."""
    began = time.monotonic()
    with Client(settings=Settings(url, patience_s=60)) as client, pytest.raises(Unreachable, match="EDGE_CA_FILE"):
        client.status()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_invalid_ca_file_is_named(tmp_path: Path, content: str | None) -> None:
    """A bad CA file is named before anything is sent."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"ca_file = .*expected a readable PEM file"):
        Settings.find(env={"EDGE_CA_FILE": str(path)})


def test_the_demo_trusts_the_gateway_it_started(
    make_config: MakeConfig, start_gateway: StartGateway, certificate: Path
) -> None:
    """On a root with a configured certificate, the demo once ended with an error about it."""
    config = make_config(gateway={"tls_cert": str(certificate), "tls_key": str(certificate.with_name("key.pem"))})
    with demo.client_of(f"https://127.0.0.1:{start_gateway(config).port}", config) as client:
        assert client.submit("echo", "hello").id
