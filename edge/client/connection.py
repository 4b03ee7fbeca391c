"""Sends HTTP/1.1 over connections that are kept open. It has only what a client of one gateway needs.

A submit is one small request and one small answer. The request goes out in one packet with its headers. The headers of
the answer are read by splitting lines, because urllib3 and the mail parser of the standard library took four fifths of
a client's time.
"""

from __future__ import annotations

import hashlib
import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import quote, urlsplit

_KEPT = 4  # idle connections
_BLOCK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 16  # an answer with longer headers does not come from a gateway
_ONE_PACKET_BYTES = 1 << 14  # a body up to this size is sent together with its headers


class Source(Protocol):
    """A body that is read block by block as it is sent, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`, or empty bytes at the end."""


class LinkError(Exception):
    """There was no answer, or no complete one. The text is a phrase that says why."""


class UntrustedCertificate(LinkError):
    """The other end has no certificate that is trusted. A second request would not help."""


@dataclass(frozen=True)
class Address:
    """The address of a gateway, and which certificate is trusted."""

    url: str
    ca_file: Path | None = None  # PEM file of the trusted CA; None for the CAs that this machine trusts
    fingerprint: str = ""  # SHA-256 of the only trusted certificate, whose names are not checked; empty without one

    @property
    def tls(self) -> bool:
        """True for https."""
        return urlsplit(self.url).scheme == "https"

    @cached_property
    def target(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.tls else 80)

    @cached_property
    def host(self) -> str:
        """The Host header. Raises UnicodeError if the name cannot be a host name."""
        name, port = self.target
        name = f"[{name}]" if ":" in name else name.encode("idna").decode()
        return name if port == (443 if self.tls else 80) else f"{name}:{port}"

    @cached_property
    def base(self) -> str:
        """The path in the address of the gateway, quoted. It comes before the path of each request."""
        return quote(urlsplit(self.url).path.rstrip("/"), safe="/%:@!$&'()*+,;=~")

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The settings of TLS. Raises OSError if `ca_file` cannot be read."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.fingerprint:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass
class Answer:
    """The answer to a request. Read its body either as a whole by `data`, or in blocks by `stream`."""

    status: int
    reason: str
    headers: Mapping[str, str]  # names in lower case
    _body: Iterator[bytes] = field(repr=False)
    _connection: Connection = field(repr=False)
    _closed: bool = field(default=False, repr=False)

    @cached_property
    def data(self) -> bytes:
        """The whole body. Raises LinkError if the connection is lost before its end."""
        return b"".join(self.stream())

    def stream(self) -> Iterator[bytes]:
        """Yield the body in blocks as they arrive. Raises LinkError if the connection is lost before its end."""
        try:
            yield from self._body
        finally:
            self.close()

    def ready(self, timeout_s: float) -> bool:
        """Wait for the next block of the body or its end. Return False if neither arrives within `timeout_s`."""
        return self._connection.ready(timeout_s)

    def close(self) -> None:
        """Release the connection of the answer. It is closed if the body was not read. A second call does nothing."""
        if not self._closed:  # after the first call the connection belongs to another request
            self._closed = True
            self._connection.release()


class Connections:
    """Keeps connections to one gateway open between requests. Threads may share it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Source | None,
        connect_s: float,
        read_s: float,
    ) -> Answer:
        """Send one request and return when the headers of its answer have arrived. Raises LinkError.

        A `Source` as `body` needs a Content-Length in `headers`.
        """
        connection = self._take() or Connection.open(self._address, self._idle, connect_s)
        try:
            return connection.exchange(method, self._address.base + path, headers, body, read_s)
        except BaseException:
            connection.close()
            raise

    def _take(self) -> Connection | None:
        """Return an idle connection that the other end has not closed, or None if there is none."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.usable():
                return connection
            connection.close()


class Connection:
    """One connection. One thread at a time uses it."""

    def __init__(self, sock: socket.socket, host: str, idle: deque[Connection]) -> None:
        self._socket, self._host, self._idle = sock, host, idle
        self._rest = b""  # received bytes that are not used yet
        self._timeout_s = -1.0
        self._keeps = False  # the other end keeps the connection open after this answer
        self._reusable = False  # the other end keeps it open, and the answer was read to its end

    @classmethod
    def open(cls, address: Address, idle: deque[Connection], connect_s: float) -> Self:
        """Connect. Raises LinkError, UntrustedCertificate."""
        try:
            host = address.host
            sock = socket.create_connection(address.target, timeout=connect_s)
        except TimeoutError as err:
            raise LinkError(f"no connection within {connect_s:g} s") from err
        except (socket.gaierror, UnicodeError) as err:
            raise LinkError("no such host") from err
        except OSError as err:
            raise LinkError(_lost(err)) from err
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                sock = _secured(sock, address)
        except TimeoutError as err:
            sock.close()
            raise LinkError(f"no connection within {connect_s:g} s") from err
        except ssl.SSLError as err:
            sock.close()
            raise UntrustedCertificate(str(err)) from err
        except OSError as err:
            sock.close()
            raise LinkError(_lost(err)) from err
        except BaseException:
            sock.close()
            raise
        return cls(sock, host, idle)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._reusable = False
        self._socket.close()

    def release(self) -> None:
        """Keep the connection for the next request if possible, or close it."""
        if not self._reusable or len(self._idle) >= _KEPT:
            self.close()
            return
        self._reusable = False
        self._idle.append(self)

    def usable(self) -> bool:
        """Return True if nothing arrived after the last answer: neither the end of the connection nor stray bytes."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not self._rest and not poll.poll(0)

    def ready(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s`. Return True if the first byte of the next block has arrived."""
        if self._rest.strip(b"\r\n"):  # the line end of the last chunk is not a block
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Source | None, read_s: float
    ) -> Answer:
        """Send a request and read the headers of its answer. Raises LinkError."""
        if read_s != self._timeout_s:
            self._socket.settimeout(read_s)
            self._timeout_s = read_s
        try:
            # A gateway that refuses the body answers before all of it is sent, and then closes the connection.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(method, path, headers, body)
            status, reason, answered = self._read_header()
            while 100 <= status < 200:
                status, reason, answered = self._read_header()
        except TimeoutError as err:
            raise LinkError(f"no answer within {read_s:g} s") from err
        except OSError as err:
            raise LinkError(_lost(err)) from err
        return Answer(status, reason, answered, self._body(method, status, answered, read_s), self)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | Source | None) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is None and method not in {"GET", "HEAD", "DELETE"}:
            lines.append("Content-Length: 0")
        header = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if isinstance(body, bytes) and len(body) <= _ONE_PACKET_BYTES:
            self._socket.sendall(header + body)
            return
        self._socket.sendall(header)
        if isinstance(body, bytes):
            self._socket.sendall(body)
        elif body is not None:
            while block := body.read(_BLOCK_BYTES):
                self._socket.sendall(block)

    def _read_header(self) -> tuple[int, str, dict[str, str]]:
        """Return the status, its phrase and the headers of an answer."""
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > _HEAD_BYTES:
                raise LinkError("what answered does not speak HTTP")
            self._receive()
        first, *lines = self._rest[:end].decode("latin-1").split("\r\n")
        self._rest = self._rest[end + 4 :]
        version, _, tail = first.partition(" ")
        status, _, reason = tail.partition(" ")
        if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdigit():
            raise LinkError("what answered does not speak HTTP")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        self._reusable = False
        keep = headers.get("connection", "").lower()
        self._keeps = keep == "keep-alive" if version == "HTTP/1.0" else keep != "close"
        return int(status), reason, headers

    def _body(self, method: str, status: int, headers: Mapping[str, str], read_s: float) -> Iterator[bytes]:
        """Yield the blocks of the body. At its end the connection is free for the next request."""
        try:
            if method == "HEAD" or status in {204, 304}:
                pass
            elif "chunked" in headers.get("transfer-encoding", "").lower():
                yield from self._chunks()
            elif "content-length" in headers:
                yield from self._exactly(_size(headers["content-length"], 10))
            else:
                self._keeps = False
                yield from self._to_the_end()
        except TimeoutError as err:
            raise LinkError(f"no answer within {read_s:g} s") from err
        except OSError as err:
            raise LinkError(_lost(err)) from err
        self._reusable = self._keeps

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._rest:
                self._receive()
            block, self._rest = self._rest[:size], self._rest[size:]
            size -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while size := _size(self._line().partition(b";")[0].decode("latin-1"), 16):
            yield from self._exactly(size)
            self._line()
        while self._line():  # trailers
            pass

    def _to_the_end(self) -> Iterator[bytes]:
        if self._rest:
            yield self._rest
            self._rest = b""
        while block := self._socket.recv(_BLOCK_BYTES):
            yield block

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > _HEAD_BYTES:
                raise LinkError("what answered does not speak HTTP")
            self._receive()
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def _receive(self) -> None:
        block = self._socket.recv(_BLOCK_BYTES)
        if not block:
            raise LinkError("the connection was lost")
        self._rest += block


def shown_certificate(url: str, *, connect_s: float) -> bytes:
    """Return the certificate (DER) of the server at `url` without checking it. Raises LinkError."""
    address = Address(url, fingerprint="any")
    try:
        with socket.create_connection(address.target, timeout=connect_s) as sock:
            secured = address.context.wrap_socket(sock, server_hostname=address.target[0])
            with secured:
                return secured.getpeercert(binary_form=True) or b""
    except TimeoutError as err:
        raise LinkError(f"no connection within {connect_s:g} s") from err
    except (socket.gaierror, UnicodeError) as err:
        raise LinkError("no such host") from err
    except ssl.SSLError as err:
        raise LinkError(f"what answers does not speak TLS ({err.reason or err})") from err
    except OSError as err:
        raise LinkError(_lost(err)) from err


def _secured(sock: socket.socket, address: Address) -> ssl.SSLSocket:
    """Return a TLS connection over `sock`. Raises OSError, UntrustedCertificate."""
    secured = address.context.wrap_socket(sock, server_hostname=address.target[0])
    shown = secured.getpeercert(binary_form=True) or b""
    if address.fingerprint and hashlib.sha256(shown).hexdigest() != address.fingerprint:
        secured.close()
        raise UntrustedCertificate("its fingerprint is different")
    return secured


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if size < 0:
        raise LinkError("what answered does not speak HTTP")
    return size


def _lost(err: OSError) -> str:
    """Return the kernel's error of a connection as a phrase."""
    text = err.strerror or ""
    return text[:1].lower() + text[1:] if text and not isinstance(err, ssl.SSLError) else "the connection was lost"


def _close_all(idle: deque[Connection]) -> None:
    while idle:
        with suppress(IndexError):
            idle.pop().close()
