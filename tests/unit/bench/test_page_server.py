"""The slow web site of the bench serves its pages late, many at once, and counts them."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import urllib3

from tests.bench.sides.page_site import page_site

_AT_ONCE = 40


def test_the_list_links_to_pages_that_are_there() -> None:
    """The list has each link once, in order; other pages and longer lists are 404."""
    with page_site(delay_s=0.0) as site, urllib3.PoolManager(retries=False) as pool:
        text = pool.request("GET", site.list_url(3)).data.decode()
        links = re.findall(r'href="(/page/\d+)"', text)
        assert links == ["/page/1", "/page/2", "/page/3"]
        answer = pool.request("GET", site.list_url(3).replace("/list/3", links[2]))
        assert (answer.status, "<title>page 3</title>" in answer.data.decode()) == (200, True)
        assert pool.request("GET", site.list_url(999_999)).status == 404
        assert pool.request("GET", site.list_url(3).replace("list", "lost")).status == 404


def test_pages_wait_beside_each_other() -> None:
    """The site answers readers at the same time and does not make them queue."""
    with page_site(delay_s=1.0) as site, urllib3.PoolManager(maxsize=_AT_ONCE, block=True, retries=False) as pool:
        ready = threading.Barrier(_AT_ONCE)

        def fetch(number: int) -> int:
            ready.wait(30)
            return pool.request("GET", site.list_url(1).replace("/list/1", f"/page/{number}")).status

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            assert set(threads.map(fetch, range(_AT_ONCE))) == {200}
        counted = site.counted()
    assert counted.pages == _AT_ONCE
    assert counted.most_at_once > 1
