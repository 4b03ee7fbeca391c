"""Runs the slow web site in a separate process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import urllib3


class Counted(msgspec.Struct, frozen=True):
    """The site's count of pages served and of simultaneous readers."""

    pages: int
    most_at_once: int


class PageSite:
    """A running `tests.bench.programs.page_server`."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def list_url(self, count: int) -> str:
        """Return the address of the page that links to `count` others."""
        return f"{self._url}/list/{count}"

    def counted(self) -> Counted:
        """Ask the site for its counts since its start."""
        answer = urllib3.request("GET", f"{self._url}/count", retries=False)
        return msgspec.json.decode(answer.data, type=Counted)


@contextmanager
def page_site(*, delay_s: float) -> Iterator[PageSite]:
    """Run a site that answers each page after `delay_s`; it ends with the block."""
    argv = [sys.executable, "-m", "tests.bench.programs.page_server", "--delay", str(delay_s)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the page server ended with {process.wait(30)}")
        yield PageSite(int(line))
        process.stdin.close()
