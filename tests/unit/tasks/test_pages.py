"""Pages of a small site are fetched and kept, or refused with a sentence that says why."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.model import spawned_job_id
from edge.worker import Job
from tasks import pages as module
from tasks.pages import Page, PageError, Shelf, fetch, links_of, page, pages

STOP = threading.Event()  # set to end the site


class Site(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        """Serve one page."""
        name, _, rest = self.path.strip("/").partition("/")
        if name == "list":
            links = "".join(f'<p><a class=x href="/page/{number}#top">{number}</a>' for number in range(int(rest)))
            self._send(200, f'<a href="mailto:me">me</a><a href="http://[x">no</a>{links}{links}'.encode())
        elif name == "status":
            self._send(int(rest), b"no")
        elif name == "moved":
            left = int(rest)
            self._send(302, b"", Location=f"/moved/{left - 1}" if left else "/page/7")
        elif name == "ftp":
            self._send(301, b"", Location="ftp://127.0.0.1/x")
        elif name == "large":
            self._send(200, b"x" * 5000)
        elif name == "drip":
            self._send(200, b"x", **{"Content-Length": "1000"})
            for _ in range(1000):
                self.wfile.write(b"x")
                if STOP.wait(0.01):
                    break
        elif name == "talk":
            self._send(200, b"x", **{"Content-Type": "t" * 5000})
        elif name == "short":
            self._send(200, b"only this", **{"Content-Length": "1000"})
        else:
            self._send(200, f"page {rest}".encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    STOP.set()
    server.shutdown()
    server.server_close()


def test_pages_are_fetched_one_after_another(site: str, tmp_path: Path) -> None:
    """Each page is fetched once, and kept as a file and a row of the database."""
    job = Job.local(tmp_path)
    assert pages(f"{site}/list/3", job) == {"pages": 3, "bytes": 18}
    rows = module.shelf(job.folder).rows()
    assert [row.url for row in rows] == [f"{site}/page/{number}" for number in range(3)]
    for number, row in enumerate(rows):
        body = (job.folder / row.file).read_bytes()
        assert (body, row.sha256) == (f"page {number}".encode(), sha256(body).hexdigest())
        assert (row.type, row.size_bytes, row.job) == ("text/html", 6, "local")


def test_an_interrupted_job_goes_on_where_it_was(site: str, tmp_path: Path) -> None:
    """Its checkpoint is used if the list is the same."""
    assert pages(f"{site}/list/3", Job.local(tmp_path))["pages"] == 3
    kept = Job.local(tmp_path).folder
    for row in module.shelf(kept).rows():
        (kept / row.file).unlink()
    assert pages(f"{site}/list/3", Job.local(tmp_path)) == {"pages": 3, "bytes": 18}
    assert not list((kept / "bodies").iterdir())
    assert pages(f"{site}/list/2", Job.local(tmp_path)) == {"pages": 2, "bytes": 12}
    assert len(list((kept / "bodies").iterdir())) == 2


def test_pages_are_spawned(site: str, tmp_path: Path) -> None:
    """Each page is a job with a key from its address, so a changed list between two attempts is harmless."""
    assert pages(f"{site}/list/2", Job.local(tmp_path), spawn=True) == {"pages": 2}
    calls = [json.loads(line) for line in (tmp_path / "spawned.jsonl").read_text().splitlines()]
    links = [f"{site}/page/{number}" for number in range(2)]
    assert [(call["task"], call["args"]) for call in calls] == [("page", [link]) for link in links]
    assert calls[0]["id"] == spawned_job_id("local", key=sha256(links[0].encode()).hexdigest())


def test_one_page(site: str, tmp_path: Path) -> None:
    """Its result is the row in the database, after redirects too."""
    job = Job.local(tmp_path)
    told = page(f"{site}/moved/2", job)
    assert (told["size_bytes"], told["type"]) == (6, "text/html")
    assert (job.folder / str(told["file"])).read_bytes() == b"page 7"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/status/404", "the server answered 404 Not Found"),
        ("/status/500", "the server answered 500"),
        ("/status/204", "the server answered 204"),
        ("/moved/9", "more than 5 redirects"),
        ("/ftp", "scheme 'ftp': only http and https are fetched"),
        ("/large", "it has more than 1000 bytes"),
        ("/short", "the connection ended 991 bytes before the page did|IncompleteRead"),
    ],
)
def test_a_page_that_cannot_be_had(site: str, monkeypatch: pytest.MonkeyPatch, path: str, why: str) -> None:
    """The error is one sentence with its address."""
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(PageError, match=why) as caught:
        fetch(f"{site}{path}")
    assert str(caught.value).startswith(f"{site}{path}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "scheme 'file': only http and https"),
        ("", "scheme '': only http and https"),
        ("/page/1", "scheme '': only http and https"),
        ("http://", "no address of a page"),
        ("http://127.0.0.1:99999/", "no address of a page: Port out of range"),
        ("http://127.0.0.1:0/", "no address of a page"),
        ("http://127.0.0.1/a b", "without spaces"),
        ("http://127.0.0.1/\r\nHost: x", "no address of a page"),
        ("http://[1", "no address of a page"),
        ("http://" + "a" * 70 + ".example/", "it cannot be fetched"),
    ],
)
def test_what_is_no_address(url: str, why: str) -> None:
    """It is refused before any request."""
    with pytest.raises(PageError, match=why):
        fetch(url)


def test_nobody_listens() -> None:
    """The error names a refused connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PageError, match=r"it cannot be fetched: .*refused"):
        fetch(f"http://127.0.0.1:{port}/")


def test_a_body_may_be_stopped(site: str) -> None:
    """`check` is called between two pieces of a page, and its exception is not changed."""

    class Stop(BaseException):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        fetch(f"{site}/page/1", stop)


def test_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list may have at most ten thousand pages."""
    monkeypatch.setattr(module, "MOST_LINKS", 1)
    listing = Page("http://h/", "text/html", b'<a href="a">a</a><A HREF=b>')
    with pytest.raises(PageError, match="it links to 2 pages; at most 1"):
        links_of(listing)


def test_links_are_addresses() -> None:
    """Relative links are completed.

    The list itself and other schemes are left out, and bytes that are not text are harmless.
    """
    html = b'\xff<a href="?q=1">x</a><a href="sub/">x</a><a href>x</a><a href="#here">x</a><a href="javascript:x">x</a>'
    assert links_of(Page("http://h/d/", "text/html", html)) == ["http://h/d/?q=1", "http://h/d/sub/"]


def test_links_of_a_redirected_list_belong_to_its_final_address() -> None:
    """Relative links are resolved against the address after redirects. Neither address of the list is a link."""
    html = b'<a href="a">x</a><a href="/d/">x</a><a href="/old">x</a>'
    listing = Page("http://h/old", "text/html", html, "http://h/d/")
    assert links_of(listing) == ["http://h/d/a"]


def test_threads_share_a_shelf(tmp_path: Path) -> None:
    """Each page is stored when `keep` returns, and the last page of an address stays."""
    shelf = Shelf(tmp_path)

    def keep(number: int) -> None:
        for turn in range(5):
            kept = shelf.keep(Page(f"http://h/{number}", "t", f"{number} {turn}".encode()), f"job-{number}")
            assert (tmp_path / kept.file).read_bytes() == f"{number} {turn}".encode()

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = shelf.rows()
    assert len(rows) == 40
    assert all(row.sha256 == sha256((tmp_path / row.file).read_bytes()).hexdigest() for row in rows)
    assert not list((tmp_path / "bodies").glob(".*"))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """All waiting threads get the error of the disk."""
    shelf = Shelf(tmp_path)
    shelf._db.close()
    with pytest.raises(OSError, match=r"pages\.sqlite: Cannot operate on a closed database"):
        shelf.keep(Page("http://h/", "t", b""), "j")


def test_who_is_stopped_while_it_commits_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is committed by the next thread."""

    class Stop(BaseException):
        pass

    def stop(_folder: Path) -> None:
        monkeypatch.undo()
        raise Stop

    shelf = Shelf(tmp_path)
    monkeypatch.setattr(module, "_sync_folder", stop)
    with pytest.raises(Stop):
        shelf.keep(Page("http://h/1", "t", b"1"), "j")
    shelf.keep(Page("http://h/2", "t", b"2"), "j")
    assert [row.url for row in shelf.rows()] == ["http://h/1", "http://h/2"]


def test_a_server_that_sends_byte_by_byte_holds_off_no_check(site: str) -> None:
    """A cancelled job ends at the next byte, not at the end of the page."""

    def cancelled() -> None:
        raise InterruptedError("cancelled")

    with pytest.raises(PageError, match="cancelled"):
        fetch(f"{site}/drip", cancelled)


def test_a_page_that_never_ends_is_given_up(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task `pages` has no time limit of its own."""
    monkeypatch.setattr(module, "_WHOLE_S", 0.05)
    with pytest.raises(PageError, match=r"more than 0\.05 s"):
        fetch(f"{site}/drip")


def test_what_a_server_says_is_kept_short(site: str) -> None:
    """Text from the server goes into the result and the database."""
    assert fetch(f"{site}/talk").type == "t" * 200
