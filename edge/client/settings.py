"""Finds the address of the gateway and the token, in arguments, the environment or one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from edge.core.errors import ConfigError

DEFAULT_URL = "http://127.0.0.1:8420"
_TOKEN_BYTES = 4096  # a larger file does not hold a token, and is refused
_EXPECTED = "expected a file that holds just a token, as `edge token add` shows it"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str | None = None
    token: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    certificate: str | None = None
    patience_s: Annotated[float, Meta(ge=0, le=3600)] = 10.0


@dataclass(frozen=True)
class Settings:
    """How to reach one gateway."""

    url: str = DEFAULT_URL
    token: str | None = field(default=None, repr=False)  # a secret must not end up in a log
    ca_file: Path | None = None  # PEM file of the trusted CA; None for the CAs that this machine trusts
    certificate: Path | None = None  # PEM file of the only trusted certificate, whose names are not checked
    paired: bool = False  # True if `certificate` comes from `edge pair`
    patience_s: float = 10.0  # how long to try again while the gateway does not answer
    connect_s: float = 5.0
    read_s: float = 30.0

    @classmethod
    def find(
        cls,
        *,
        url: str | None = None,
        token: str | None = None,
        token_file: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Settings:
        """Return the settings from the arguments, the environment and the client's file.

        An argument comes first, then the variables `EDGE_URL`, `EDGE_TOKEN`, `EDGE_TOKEN_FILE` and `EDGE_CA_FILE`, then
        the file.
        The file is `EDGE_CLIENT_CONFIG` or `~/.config/edge/client.yaml`, with the keys `url`, `token`, `token_file`,
        `ca_file`, `certificate` and `patience_s`. Its certificate counts only for the `url` of the file, and not if
        `EDGE_CA_FILE` is set.

        Raises:
            ConfigError: a value is not usable, or every user of this machine can read a secret.
        """
        env = os.environ if env is None else env
        path = _file_path(env)
        file = _read_file(path) if path else _File()
        if token is None and token_file is not None:
            token = _read_token(token_file, "token file")
        if token is None and env.get("EDGE_TOKEN"):
            token = env["EDGE_TOKEN"]
        if token is None and env.get("EDGE_TOKEN_FILE"):
            token = _read_token(Path(env["EDGE_TOKEN_FILE"]), "EDGE_TOKEN_FILE")
        if token is None and file.token is not None:
            token = file.token
        if token is None and file.token_file and path:
            token = _read_token(path.parent / _expanded(file.token_file), "token_file")
        ca_file = _expanded(env["EDGE_CA_FILE"]) if env.get("EDGE_CA_FILE") else None
        if ca_file is None and file.ca_file and path:
            ca_file = path.parent / _expanded(file.ca_file)
        chosen = checked_url(url or env.get("EDGE_URL") or file.url or DEFAULT_URL)
        certificate = None
        if file.certificate and path and file.url and chosen == checked_url(file.url) and not env.get("EDGE_CA_FILE"):
            certificate = path.parent / _expanded(file.certificate)
        return cls(
            url=chosen,
            token=_checked_token(token) if token is not None else None,
            ca_file=_checked_ca(ca_file) if ca_file else None,
            certificate=certificate,
            paired=certificate is not None,
            patience_s=file.patience_s,
        )


def config_folder(env: Mapping[str, str]) -> Path | None:
    """Return the folder of a person's settings, or None if `env` names no home."""
    folder = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    return Path(folder) / "edge" if folder else None


def url_in(path: Path) -> str | None:
    """Return the address of the gateway in a settings file, or None if it has none or cannot be read."""
    try:
        file = _read_file(path)
        return checked_url(file.url) if file.url else None
    except ConfigError:
        return None


def _file_path(env: Mapping[str, str]) -> Path | None:
    if env.get("EDGE_CLIENT_CONFIG"):
        return _expanded(env["EDGE_CLIENT_CONFIG"])
    folder = config_folder(env)
    try:
        return folder / "client.yaml" if folder and (folder / "client.yaml").exists() else None
    except OSError:  # a home folder that cannot be read counts as one without settings
        return None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no such user, so the text is a plain file name
        return Path(text)


def _read_file(path: Path) -> _File:
    import yaml  # imported here: not every client has a file, and PyYAML slows the start on a Pi Zero noticeably

    try:
        tree: object = yaml.safe_load(path.read_text())
        file = msgspec.convert({} if tree is None else tree, _File)
    except OSError as err:
        raise ConfigError("client config", str(path), err.strerror or str(err)) from err
    except msgspec.ValidationError as err:
        raise ConfigError(
            "client config", str(path), f"{err}; allowed keys: {', '.join(_File.__struct_fields__)}"
        ) from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise ConfigError("client config", str(path), f"not YAML: {' '.join(str(err).split())}") from err
    if file.token is not None:
        _check_private(path, "client config")
    return file


def _read_token(path: Path, name: str) -> str:
    _check_private(path, name)
    try:
        with path.open("rb") as file:
            content = file.read(_TOKEN_BYTES + 1)
        token = content.decode("ascii").strip()
    except OSError as err:
        raise ConfigError(name, str(path), err.strerror or str(err)) from err
    except UnicodeDecodeError as err:
        raise ConfigError(name, str(path), _EXPECTED) from err
    if len(content) > _TOKEN_BYTES:
        raise ConfigError(name, str(path), _EXPECTED)
    return token


def _check_private(path: Path, name: str) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as err:
        raise ConfigError(name, str(path), getattr(err, "strerror", None) or str(err)) from err
    if mode & stat.S_IRWXO:
        raise ConfigError(name, str(path), f"every user of this machine can read it; run: chmod o= {path}")


def checked_url(url: str) -> str:
    """Return the address of a gateway without a slash at its end. Raises ConfigError if it is not usable."""
    allowed = "expected http://HOST[:PORT] or https://HOST[:PORT]"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as err:
        raise ConfigError("url", url, f"{allowed} ({err})") from err
    if not usable or parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in url):
        raise ConfigError("url", url, allowed)
    if parts.username or parts.password:
        raise ConfigError("url", f"{parts.scheme}://...@{parts.hostname}", "no user or password in it; use a token")
    return url.rstrip("/")


def _checked_ca(path: Path) -> Path:
    import ssl  # imported here, because most clients have no `ca_file`

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as err:  # an SSLError is an OSError
        raise ConfigError(
            "ca_file", str(path), f"expected a readable PEM file ({err.args[-1] if err.args else err})"
        ) from err
    return path


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("token", "...", "expected one word of printable ASCII, as `edge token add` shows it")
    return token
