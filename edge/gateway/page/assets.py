"""Style sheet, script and icon: read once, sent compressed, kept by browsers for as long as they do not change."""

from __future__ import annotations

import gzip
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import msgspec
from aiohttp import hdrs, web

from edge.gateway.page.visit import Visit

_FOLDER = Path(__file__).parent / "assets"
_TYPES = {
    "page.css": "text/css",
    "plots.css": "text/css",
    "page.js": "text/javascript",
    "pair.js": "text/javascript",
    "login.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    content: bytes
    packed: bytes
    media: str
    version: str


class Assets:
    """All files of the page. An address holds the version of its file, so browsers fetch a new version at once."""

    def __init__(self) -> None:
        self._assets = {name: _read(name) for name in _TYPES}

    def url(self, name: str) -> str:
        """The address of an asset in its present version."""
        return f"/assets/{name}?v={self._assets[name].version}"

    async def send(self, visit: Visit) -> web.StreamResponse:
        """Answer with a file."""
        request = visit.request
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        etag = f'"{asset.version}"'
        current = request.query.get("v") == asset.version
        headers = {
            hdrs.CACHE_CONTROL: _FOR_EVER if current else "public, no-cache",
            hdrs.ETAG: etag,
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
        }
        if any(given.value in {"*", asset.version} for given in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        content = asset.content
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            content = asset.packed
        return web.Response(body=content, content_type=asset.media, charset="utf-8", headers=headers)


def _read(name: str) -> Asset:
    content = (_FOLDER / name).read_bytes()
    return Asset(content, gzip.compress(content, 9, mtime=0), _TYPES[name], sha256(content).hexdigest()[:12])
