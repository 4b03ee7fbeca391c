"""A small, slow web site for the experiment that fetches pages one after another or many at once.

`python -m tests.bench.programs.page_server [--delay S]` prints its port and serves loopback until its input ends:

- `/list/N` answers at once with links to the pages 1 to N.
- `/page/K` answers with page K after the delay.
- `/count` answers `{"pages": answered, "most_at_once": most that waited at the same time}`.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys

from aiohttp import web

#: Largest number of connections that may wait to be accepted; the kernel's own limit may be lower.
_BACKLOG = 4096
_MOST_LINKS = 100_000
_FILLING = "A page has about as many words as this one, and then some more of the same. " * 40


class Site:
    """Serves the pages and counts their readers. Runs on the event loop."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._answered = self._waiting = self._most = 0

    def app(self) -> web.Application:
        """Return the site as an application of aiohttp."""
        app = web.Application()
        app.router.add_get(r"/list/{count:\d{1,6}}", self.links)
        app.router.add_get(r"/page/{number:\d{1,6}}", self.page)
        app.router.add_get("/count", self.count)
        return app

    async def links(self, request: web.Request) -> web.Response:
        """Answer with the list page, or 404 for more than `_MOST_LINKS` links."""
        count = int(request.match_info["count"])
        if count > _MOST_LINKS:
            raise web.HTTPNotFound(text=f"at most {_MOST_LINKS} links")
        items = "\n".join(f'<li><a href="/page/{number}">page {number}</a></li>' for number in range(1, count + 1))
        return _html(f"{count} pages", f"<ul>\n{items}\n</ul>")

    async def page(self, request: web.Request) -> web.Response:
        """Answer with one page after the delay."""
        self._waiting += 1
        self._most = max(self._most, self._waiting)
        try:
            await asyncio.sleep(self._delay_s)
        finally:
            self._waiting -= 1
        self._answered += 1
        return _html(f"page {request.match_info['number']}", f"<p>{_FILLING}</p>")

    async def count(self, request: web.Request) -> web.Response:
        """Answer with the number of pages served, and the most readers that waited at once."""
        del request
        return web.json_response({"pages": self._answered, "most_at_once": self._most})


def _html(title: str, body: str) -> web.Response:
    text = f"<!doctype html>\n<html><head><title>{title}</title></head>\n<body>\n{body}\n</body></html>\n"
    return web.Response(text=text, content_type="text/html")


async def serve(delay_s: float) -> None:
    """Serve until the input ends; it does when the bench ends, in whatever way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    runner = web.AppRunner(Site(delay_s).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=_BACKLOG)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    try:
        await over.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Parse the options and serve; return exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.programs.page_server", description=__doc__)
    parser.add_argument("--delay", type=float, default=1.0, help="seconds before a page is answered (default 1)")
    asyncio.run(serve(parser.parse_args().delay))
    return 0


if __name__ == "__main__":
    sys.exit(main())
