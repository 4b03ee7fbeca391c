"""The tasks `pages` and `page`: fetch the pages that a list page links to, one after another or each as a separate job.

The content of each page is kept as a file, and its record in a database. Both are in the folder of the kind of job that
fetched the page.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from edge.worker import Job, task

#: A larger page is refused, because a thousand pages may be in memory at once.
MOST_BYTES = 8 << 20
MOST_LINKS = 10_000
_ANSWER_S = 30.0
#: Longest time for one page: a server that sends a few bytes from time to time must not block the worker forever.
_WHOLE_S = 300.0
_MOST_CHARS = 200  # largest number of characters that are kept of a header or a status line
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_CHUNK = 1 << 16
_PLAIN = "/%:=&?~+!$,;'@()*[]"

_TABLE = """
CREATE TABLE IF NOT EXISTS page (
    url TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    type TEXT NOT NULL,
    job TEXT NOT NULL
) STRICT
"""
_PUT = "INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?, ?)"


class PageError(RuntimeError):
    """A page cannot be fetched. The text is one sentence with its address."""

    def __init__(self, url: str, why: str) -> None:
        self.url, self.why = url, why
        super().__init__(f"{url[:300]}: {why}")


class Page(NamedTuple):
    """A page as the server sent it."""

    url: str  # the requested address, before redirects
    type: str
    body: bytes
    final_url: str = ""  # the address after redirects; if empty, it is `url`


class Kept(NamedTuple):
    """A row of the database: one stored page."""

    url: str
    file: str
    size_bytes: int
    sha256: str
    type: str
    job: str


@task
def pages(url: str, job: Job, *, spawn: bool = False) -> dict[str, int]:
    """Fetch the pages that the page at `url` links to, one after another; with `spawn`, each page in its own job.

    The jobs that `spawn` makes are of kind `page`. Returns the number of pages, and without `spawn` also their size in
    bytes. After a power cut it continues after the last page that was stored, if the list still has the same links.
    """
    links = links_of(fetch(url, job.check))
    if spawn:
        for link in links:
            job.spawn(page, link, key=sha256(link.encode()).hexdigest())
        return {"pages": len(links)}
    restored = job.restored
    done, size = 0, 0
    if isinstance(restored, dict) and restored.get("links") == _digest(links):
        done, size = int(restored["done"]), int(restored["bytes"])
    for number, link in enumerate(links[done:], done + 1):
        size += shelf(job.folder).keep(fetch(link, job.check), job.id).size_bytes
        job.progress(number, len(links))
        job.checkpoint({"links": _digest(links), "done": number, "bytes": size})
    return {"pages": len(links), "bytes": size}


@task(pool="io", time_limit_s=300)
def page(url: str, job: Job) -> dict[str, str | int]:
    """Fetch one page and store it. Returns its file, size, hash and type."""
    kept = shelf(job.folder).keep(fetch(url, job.check), job.id)
    return {"file": kept.file, "size_bytes": kept.size_bytes, "sha256": kept.sha256, "type": kept.type}


# --- the network ----------------------------------------------------------------------------------------------


def fetch(url: str, check: Callable[[], None] = lambda: None) -> Page:
    """Return the page at `url`, after at most 5 redirects. Calls `check` after each block. Raises PageError."""
    at = url
    for _ in range(_REDIRECTS + 1):
        parts = _checked(at, asked=url)
        try:
            with closing(_connection(parts)) as connection:
                target = quote(parts.path or "/", safe=_PLAIN)
                query = f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else ""
                connection.request("GET", target + query, headers={"User-Agent": "edge-worker"})
                with connection.getresponse() as answer:
                    if answer.status not in _MOVED or not (moved := answer.headers["Location"]):
                        kind = answer.headers.get("Content-Type", "")[:_MOST_CHARS]
                        return Page(url, kind, _body(url, answer, check), at)
                    at = urljoin(at, moved)
        except (HTTPException, OSError, ValueError) as err:
            raise PageError(url, f"it cannot be fetched: {str(err) or type(err).__name__}") from err
    raise PageError(url, f"more than {_REDIRECTS} redirects")


def _checked(url: str, *, asked: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise PageError(asked, f"no address of a page: {err}") from err
    if parts.scheme not in ("http", "https"):
        raise PageError(asked, f"scheme {parts.scheme!r}: only http and https are fetched")
    if not parts.hostname or port == 0 or not url.isprintable() or " " in url:
        raise PageError(asked, "no address of a page: expected http://HOST[:PORT]/PATH, without spaces")
    return parts


def _connection(parts: SplitResult) -> HTTPConnection:
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_ANSWER_S)


def _body(url: str, answer: HTTPResponse, check: Callable[[], None]) -> bytes:
    if answer.status != 200:
        raise PageError(url, f"the server answered {answer.status} {answer.reason[:_MOST_CHARS]}")
    body = bytearray()
    until = time.monotonic() + _WHOLE_S
    # `read1` returns as soon as some bytes have arrived, so `check` is called often. A silent server can delay it by
    # `_ANSWER_S`.
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if time.monotonic() > until:
            raise PageError(url, f"it took more than {_WHOLE_S:g} s")
        if len(body) > MOST_BYTES:
            raise PageError(url, f"it has more than {MOST_BYTES} bytes")
        check()
    if answer.length:  # `read1` raises no error if the connection ends too early
        raise PageError(url, f"the connection ended {answer.length} bytes before the page did")
    return bytes(body)


# --- the list -------------------------------------------------------------------------------------------------


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def links_of(listing: Page) -> list[str]:
    """Return the addresses that `listing` links to, each once, in order. Raises PageError if there are too many.

    A relative link is resolved against the address after redirects, as a browser does it.
    """
    parser = _Links()
    parser.feed(listing.body.decode("utf-8", "replace"))
    base = listing.final_url or listing.url
    found = dict[str, None]()
    for link in parser.found:
        try:
            address = urljoin(base, link.strip()).partition("#")[0]
        except ValueError:  # not a valid address
            continue
        if address.startswith(("http://", "https://")) and address not in (listing.url, base):
            found[address] = None
    if len(found) > MOST_LINKS:
        raise PageError(listing.url, f"it links to {len(found)} pages; at most {MOST_LINKS} are fetched")
    return list(found)


def _digest(links: list[str]) -> str:
    return sha256("\n".join(links).encode()).hexdigest()


# --- what is kept ---------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Row:
    """A row that waits for its commit."""

    kept: Kept
    done: bool = False  # committed, or failed with `error`
    error: Exception | None = None


class Shelf:
    """Stores page bodies as files, and rows in a database. Threads may share it, and processes may share the folder.

    Each page costs one sync of its file. The sync of the folder and the commit of the rows are shared: one thread
    does them for all threads that wait at that moment.
    """

    def __init__(self, folder: Path) -> None:
        self._bodies = folder / "bodies"
        self._bodies.mkdir(exist_ok=True)
        self._db = sqlite3.connect(
            folder / "pages.sqlite", isolation_level=None, timeout=60, check_same_thread=False, cached_statements=4
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_TABLE)
        self._queue = threading.Lock()
        self._waiting: list[_Row] = []
        self._committing = threading.Lock()  # the thread that holds it may use the connection

    def keep(self, page: Page, job_id: str) -> Kept:
        """Store a page, durable on return. It replaces an earlier page of the same address. Raises OSError."""
        digest = sha256(page.body).hexdigest()
        name = f"{sha256(page.url.encode()).hexdigest()[:32]}.html"
        temp = self._bodies / f".{name}.{job_id}"
        with temp.open("wb") as file:
            file.write(page.body)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(self._bodies / name)
        kept = Kept(page.url, f"bodies/{name}", len(page.body), digest, page.type, job_id)
        row = _Row(kept)
        with self._queue:
            self._waiting.append(row)
        with self._committing:
            if not row.done:  # otherwise another thread has committed it
                self._commit()
        if row.error is not None:
            raise OSError(str(row.error)) from row.error
        return kept

    def _commit(self) -> None:
        """Commit all waiting rows.

        If a cancel or a time limit interrupts this thread, the rows wait for the commit of the next thread.
        """
        with self._queue:
            group = list(self._waiting)
        error: Exception | None = None
        try:
            if self._db.in_transaction:
                self._db.rollback()
            _sync_folder(self._bodies)
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(_PUT, [row.kept for row in group])
        except sqlite3.Error as err:
            error = OSError(f"{self._bodies.parent / 'pages.sqlite'}: {err}")
        except OSError as err:
            error = err
        for row in group:
            row.error, row.done = error, True
        with self._queue:
            self._waiting = [row for row in self._waiting if not row.done]

    def rows(self) -> list[Kept]:
        """Return the rows of all stored pages."""
        with self._committing:
            found: list[Any] = self._db.execute("SELECT * FROM page ORDER BY url").fetchall()
        return [Kept(*row) for row in found]


@cache
def shelf(folder: Path) -> Shelf:
    """Return the shelf in a folder. A process opens it once."""
    return Shelf(folder)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
