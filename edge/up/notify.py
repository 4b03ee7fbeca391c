"""Tells whoever started us that we are ready, as systemd's `Type=notify` does."""

from __future__ import annotations

import os
import socket


def notify(**fields: str) -> None:
    """Send `NAME=value` lines to NOTIFY_SOCKET; nothing happens without one or when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto("\n".join(f"{k}={v}" for k, v in fields.items()).encode(), address.replace("@", "\0", 1))
        except OSError:
            return  # the listener has gone: readiness is news, not a duty
