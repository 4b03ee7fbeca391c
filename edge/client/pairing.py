"""Pairs this machine with a board: both compute a code, a person types it on the board, and it accepts our token."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from edge.client.connection import LinkError, shown_certificate
from edge.client.settings import Settings
from edge.client.transport import Transport, path_of
from edge.core.errors import EdgeError, GatewayError, Unreachable
from edge.model import pairing
from edge.wire import PairAsk, PairCommitted, PairNonce, PairOpened, PairView

_JSON = {"Content-Type": "application/json"}
_WAIT_S = 280.0  # shorter than the time after which proxies and NATs close a silent connection
#: Least time between two requests, for a gateway that answers at once because `gateway.max_wait_s` is 0.
_LEAST_S = 2.0
_PREFIX = "edge_"

_encode = msgspec.json.Encoder().encode


class NotPaired(EdgeError, RuntimeError):
    """The board did not accept this machine."""


class Paired(msgspec.Struct, frozen=True):
    """The result of pairing: from now on the board accepts the token."""

    token: str
    name: str  # name of the token on the board
    scopes: tuple[str, ...]


def certificate_of(url: str, *, connect_s: float = 5.0) -> str:
    """Return the certificate (PEM) of the server at the https `url`. The certificate is not checked.

    Raises:
        Unreachable: the server does not answer, or does not speak TLS.
    """
    import ssl  # only for https

    try:
        return ssl.DER_cert_to_PEM_cert(shown_certificate(url, connect_s=connect_s))
    except LinkError as err:
        raise Unreachable(f"cannot reach the gateway at {url}: {err}") from err


def pair(
    settings: Settings, name: str, *, show: Callable[[pairing.Code, float], None], by_button: bool = False
) -> Paired:
    """Send a pairing request to the gateway, show the code, and wait until a person types it on the board.

    Args:
        settings: the gateway. For https it needs `certificate`: only this certificate is trusted, and the code depends
            on it.
        name: the name of the new token on the board.
        show: called with the code, and the seconds until it expires.
        by_button: accept an approval by the board's button. Then nobody has typed the code on the board.

    Raises:
        NotPaired: the request was refused or not confirmed in time, or the server is not the board.
        Unreachable: there is no answer any more.
        GatewayError: the gateway refuses the request, or does not support pairing.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    token_sha256 = hashlib.sha256(token.encode()).hexdigest()
    http = Transport(replace(settings, token=None))  # an old token is not needed here, so it is not sent
    try:
        opened = http.json(
            "POST", path_of("pair"), PairOpened, body=_encode(PairAsk(name, token_sha256)), headers=_JSON
        )
        path = path_of("pair", opened.id)
        nonce = pairing.new_nonce()
        revealed = http.json("PUT", path, PairCommitted, body=_encode(PairNonce(nonce)), headers=_JSON)
        if pairing.commitment(revealed.nonce) != opened.commitment:
            raise NotPaired("the other end changed its random number: it is not a gateway, and it may be an attacker")
        binding = pairing.binding_of(
            certificate=_fingerprint(settings.certificate),
            token_sha256=token_sha256,
            name=name,
            board_nonce=revealed.nonce,
            own_nonce=nonce,
        )
        code = pairing.Code(binding, pairing.new_echo())
        try:
            show(code, revealed.expires_s)
            view = _decided(http, path)
        except BaseException:
            with suppress(EdgeError):  # withdraw the request; without that it expires by itself
                http.send("DELETE", path, patience_s=0.0)
            raise
    finally:
        http.close()
    if view.state != "approved":
        raise NotPaired(f"somebody on the board refused this machine ({view.state})")
    if view.echo != code.echo and not (by_button and not view.echo):
        raise NotPaired(
            "the other end says that the board has accepted this machine, but it does not know the code that was typed "
            "on the board: "
            + ("the board's button was used; --button accepts that" if not view.echo else "it may be an attacker")
        )
    return Paired(token, view.name, view.scopes)


def _decided(http: Transport, path: str) -> PairView:
    """Wait by long requests, one after the other, until the pairing request is decided."""
    while True:
        began = time.monotonic()
        try:
            view = http.json("GET", path, PairView, query={"wait_s": _WAIT_S}, longer_s=_WAIT_S)
        except GatewayError as err:
            if err.status != 404:
                raise
            raise NotPaired("nobody confirmed the code in time, or the gateway was restarted; ask again") from err
        if view.state != "waiting":
            return view
        time.sleep(max(0.0, _LEAST_S - (time.monotonic() - began)))


def _fingerprint(path: Path | None) -> str:
    import ssl  # only for https

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest() if path else ""
