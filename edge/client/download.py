"""Fetches a whole file of a job: continues after a lost connection, checks the SHA-256, then names the file."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from edge.client.connection import LinkError
from edge.client.transport import Transport, path_of
from edge.core.errors import GatewayError, UnknownFile, Unreachable
from edge.model import Result

_TRIES = 5  # largest number of tries in a row without a further byte


def download(http: Transport, result: Result, name: str, to: Path) -> Path:
    """Fetch the file `name` of `result` to the folder or path `to`, and return its path. Replaces an existing file.

    Raises:
        UnknownFile: the result has no such file.
        Unreachable: the connection broke several times in a row.
        GatewayError: the content does not match its SHA-256.
        OSError: this machine cannot write the file.
    """
    artifact = next((file for file in result.files if file.name == name), None)
    # The name comes from the network, so it must not lead out of the target folder.
    if artifact is None or not re.fullmatch(r"[^/\0]+", name) or name in {".", ".."}:
        raise UnknownFile(result.id, name, [file.name for file in result.files])
    target = to / name if to.is_dir() else to
    temp = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
    try:
        digest = sha256()
        got = tries = 0
        with temp.open("xb") as file:
            while got < artifact.size_bytes:
                before = got
                try:
                    for chunk in _from(http, path_of("jobs", result.id, "files", name), got):
                        file.write(chunk)
                        digest.update(chunk)
                        got += len(chunk)
                except LinkError as err:
                    tries = 0 if got > before else tries + 1
                    if tries >= _TRIES:
                        raise Unreachable(f"the connection broke at {got} of {artifact.size_bytes} bytes") from err
                else:
                    break
        if digest.hexdigest() != artifact.sha256:
            raise GatewayError(200, "", f"file {name!r} arrived with {got} bytes that do not match its SHA-256")
        temp.replace(target)
    finally:
        temp.unlink(missing_ok=True)
    return target


def _from(http: Transport, path: str, start: int) -> Iterator[bytes]:
    headers = {"Range": f"bytes={start}-"} if start else {}
    answer = http.send("GET", path, headers=headers, stream=True)
    try:
        if start and answer.status != 206:
            raise GatewayError(answer.status, "", "the gateway does not continue a download that broke off")
        yield from answer.stream()
    finally:
        answer.close()
