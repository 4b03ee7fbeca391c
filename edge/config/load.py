"""Reads defaults, `edge.yaml` and `EDGE_*` into one `Config`, and remembers where each value came from."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from edge.config.records import Config
from edge.errors import ConfigError

#: `EDGE_*` variables that are not configuration keys of the board.
RESERVED = frozenset({"EDGE_CONFIG", "EDGE_URL", "EDGE_TOKEN", "EDGE_TOKEN_FILE", "EDGE_CLIENT_CONFIG"})
#: Sections whose keys a person chooses; not reachable by environment.
_FREE_FORM = frozenset({"settings"})
_LOCATION = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)


@dataclass(frozen=True)
class Loaded:
    """A configuration with the origin of each key: `default`, a file's path, or a variable's name."""

    config: Config
    origins: Mapping[str, str]
    path: Path | None

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, effective value, origin) of every key, in the order of the records."""
        for key, value in _leaves(msgspec.to_builtins(self.config, enc_hook=str)):
            yield key, value, self.origins.get(key, "default")


def default_path(env: Mapping[str, str] | None = None) -> Path | None:
    """`EDGE_CONFIG`, or `./.edge/edge.yaml` (made by `edge up`), or `/etc/edge/edge.yaml`, or none."""
    env = os.environ if env is None else env
    if env.get("EDGE_CONFIG"):
        return Path(env["EDGE_CONFIG"])
    for candidate in (Path(".edge/edge.yaml"), Path("/etc/edge/edge.yaml")):
        if candidate.exists():
            return candidate.absolute()
    return None


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Loaded:
    """Read the file at `path` (default: `default_path()`), then `EDGE_*` over it.

    Raises ConfigError on an unreadable file, an unknown key, a wrong type, a value out of bounds or two
    values that contradict each other.
    """
    env = os.environ if env is None else env
    path = default_path(env) if path is None else path
    tree = _read(path) if path else {}
    origins = {key: str(path) for key, _ in _leaves(tree)}
    for key, name, value in _from_environment(env):
        section, _, leaf = key.rpartition(".")
        target = tree
        for part in filter(None, section.split(".")):
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(part, target, "expected a section with keys", origin=str(path))
        target[leaf] = value
        origins[key] = name
    config = _convert(tree, origins, path)
    return Loaded(_absolute(config, path), origins, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            tree = yaml.safe_load(file)
    except OSError as err:
        raise ConfigError("config", str(path), err.strerror or str(err)) from err
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as err:
        text = " ".join(str(err).split())
        raise ConfigError("config", str(path), f"not YAML: {text}") from err
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("config", str(path), "expected keys and values at the top of the file")
    return tree


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and value and dotted not in _FREE_FORM:
            yield from _leaves(value, f"{dotted}.")
        else:
            yield dotted, value


def _known_keys() -> dict[str, str]:
    """Variable name -> dotted key of every key a variable can set."""
    defaults = msgspec.to_builtins(Config(), enc_hook=str)
    keys = (key for key, _ in _leaves(defaults) if key not in _FREE_FORM)
    return {"EDGE_" + key.replace(".", "_").upper(): key for key in keys}


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = _known_keys()
    for name in sorted(env):
        if not name.startswith("EDGE_") or name in RESERVED:
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`edge config show` lists the keys"
            raise ConfigError(name, env[name], f"unknown variable; {hint}", origin="environment")
        try:
            yield known[name], name, yaml.safe_load(env[name])
        except yaml.YAMLError as err:
            raise ConfigError(name, env[name], "not a YAML value", origin="environment") from err


def _convert(tree: dict[str, Any], origins: Mapping[str, str], path: Path | None) -> Config:
    def decode(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str) and value:
            return Path(value).expanduser()
        raise ValueError("expected a path")

    try:
        config = msgspec.convert(tree, Config, dec_hook=decode)
    except msgspec.ValidationError as err:
        raise _explained(err, tree, origins, path) from err
    config.power.check()
    return config


def _explained(
    err: msgspec.ValidationError, tree: dict[str, Any], origins: Mapping[str, str], path: Path | None
) -> ConfigError:
    """msgspec's message turned into key, value and what is allowed."""
    match = _LOCATION.match(str(err))
    what, key = (match["what"], (match["path"] or "").lstrip(".")) if match else (str(err), "")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        key = f"{key}.{unknown[1]}".lstrip(".")
        section = key.rpartition(".")[0]
        allowed = [k for k, _ in _leaves(msgspec.to_builtins(Config(), enc_hook=str))]
        siblings = sorted({k[len(section) :].lstrip(".").split(".")[0] for k in allowed if k.startswith(section)})
        what = f"unknown key; allowed here: {', '.join(siblings)}"
    value: Any = tree
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    if isinstance(value, dict) and not unknown:
        value = "..." if value else {}
    return ConfigError(key or "config", value, _plain(what), origin=origins.get(key, str(path or "")))


def _plain(what: str) -> str:
    text = what.replace("`", "")
    return text[:1].lower() + text[1:]


def _absolute(config: Config, path: Path | None) -> Config:
    """Relative paths are relative to the file that names them, or to the working folder without one."""
    base = path.absolute().parent if path else Path.cwd()
    password = config.broker.password_file
    broker = msgspec.structs.replace(config.broker, password_file=base / password if password else None)
    return msgspec.structs.replace(config, root=base / config.root, run=base / config.run, broker=broker)
