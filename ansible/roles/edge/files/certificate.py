"""Checks on the controller that a board can use a certificate and its key; otherwise prints why and exits with 1."""

from __future__ import annotations

import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509  # Ansible needs it too


def fault(cert: Path, key: Path) -> str:
    """Return why a server cannot use certificate and key, or an empty text."""
    for name, path in (("edge_tls_cert", cert), ("edge_tls_key", key)):
        if not path.is_file():
            return f"{name} {path}: must be a file on this machine"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            cert, key, password=lambda: sys.exit(f"edge_tls_key {key}: must have no password")
        )
        found = x509.load_pem_x509_certificate(cert.read_bytes())
    except ssl.SSLError as err:
        mismatch = "MISMATCH" in str(err.reason)
        return (
            f"edge_tls_key {key} does not belong to edge_tls_cert {cert}" if mismatch else f"{cert}, {key}: must be PEM"
        )
    except (OSError, ValueError) as err:
        return f"edge_tls_cert {cert}: {err}"
    now = datetime.now(UTC)
    begin, end = (
        getattr(found, f"{name}_utc", None) or getattr(found, name).replace(tzinfo=UTC)
        for name in ("not_valid_before", "not_valid_after")
    )
    return "" if begin <= now < end else f"edge_tls_cert {cert}: valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}"


if __name__ == "__main__":
    reason = fault(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit(reason or 0)
