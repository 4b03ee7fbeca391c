"""A node connects to its head's broker by TLS only, and sends its token by https only."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from edge.broker import topology
from edge.config import BrokerConfig, load
from edge.core.errors import ConfigError


def test_a_broker_with_a_ca_is_checked_by_name() -> None:
    """A certificate of another CA or for another name is not accepted."""
    link = topology.connection(BrokerConfig(host="head.local", port=5671, tls_ca=Path("/etc/edge/tls/head-ca.pem")))
    assert link.ssl == {
        "ca_certs": "/etc/edge/tls/head-ca.pem",
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "head.local",
    }
    assert not topology.connection(BrokerConfig()).ssl


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ("{head_url: 'http://head.local:8420', token_file: t}", "node.head_url"),
        ("{head_url: 'head.local', token_file: t}", "node.head_url"),
        ("{head_url: 'https://[head', token_file: t}", "node.head_url"),
        ("{head_url: 'https://head.local:8420'}", "node.token_file"),
    ],
)
def test_a_node_without_a_safe_way_is_refused(tmp_path: Path, node: str, key: str) -> None:
    """The configuration is refused, and the error names the key."""
    path = tmp_path / "edge.yaml"
    path.write_text(f"node: {node}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, env={})
    assert refused.value.key == key
