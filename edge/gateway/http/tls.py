"""Loads the gateway's certificate: as an SSL context, and as the hash that pairing compares."""

from __future__ import annotations

import ssl
from hashlib import sha256

from edge.config import GatewayConfig
from edge.core.errors import ConfigError


def context(config: GatewayConfig) -> ssl.SSLContext | None:
    """Return the SSL context to serve HTTPS, or None if no certificate is configured. Raises ConfigError."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # The server speaks only HTTP/1.1.
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(config.tls_cert, config.tls_key, password=_no_password)
    except ssl.SSLError as err:
        why = (
            "the key does not belong to the certificate"
            if "MISMATCH" in str(err.reason)
            else "not a usable pair of PEM files"
        )
        raise ConfigError(
            "gateway.tls_cert", str(config.tls_cert), f"{why} (gateway.tls_key = {config.tls_key})"
        ) from err
    except OSError as err:
        for key, path in (("gateway.tls_cert", config.tls_cert), ("gateway.tls_key", config.tls_key)):
            try:
                path.open("rb").close()
            except OSError as fault:
                raise ConfigError(key, str(path), fault.strerror or str(fault)) from err
        raise ConfigError("gateway.tls_cert", str(config.tls_cert), str(err)) from err
    except ValueError as err:
        raise ConfigError(
            "gateway.tls_key", str(config.tls_key), "an encrypted key; give one without a password"
        ) from err
    return made


def fingerprint(config: GatewayConfig) -> str:
    """Return the SHA-256 of the certificate that clients get, in hex, or an empty text without a certificate.

    Raises ConfigError.
    """
    if config.tls_cert is None:
        return ""
    try:
        _, begin, rest = config.tls_cert.read_text().partition(ssl.PEM_HEADER)
        first, end, _ = rest.partition(ssl.PEM_FOOTER)
        return sha256(ssl.PEM_cert_to_DER_cert(begin + first + end)).hexdigest()
    except (OSError, ValueError) as err:
        raise ConfigError("gateway.tls_cert", str(config.tls_cert), f"expected a readable PEM file ({err})") from err


def _no_password() -> str:
    """Refuse an encrypted key. Otherwise OpenSSL would ask for a password on the terminal, which a service lacks."""
    raise ValueError("encrypted")
