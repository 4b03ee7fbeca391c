"""Serves style sheets, scripts and the icon. They are read once and sent compressed; browsers cache each version."""

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
_IMMUTABLE = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """One file in the forms in which it is sent."""

    content: bytes
    packed: bytes  # the content compressed with gzip
    media: str  # the media type
    version: str  # the beginning of the SHA-256 of the content


class Assets:
    """Holds all files of the page. An address contains its file's version, so browsers fetch a new file at once."""

    def __init__(self) -> None:
        self._assets = {name: _read(name) for name in _TYPES}

    def url(self, name: str) -> str:
        """Return the address of an asset, with the current version."""
        return f"/assets/{name}?v={self._assets[name].version}"

    async def send(self, visit: Visit) -> web.StreamResponse:
        """Send the file, or 304 if the browser has this version. Raises HTTPNotFound."""
        request = visit.request
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        etag = f'"{asset.version}"'
        current = request.query.get("v") == asset.version
        headers = {
            hdrs.CACHE_CONTROL: _IMMUTABLE if current else "public, no-cache",
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
