"""Reads defaults, `edge.yaml` and `EDGE_*` into one `Config`, and remembers where each value came from."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import inspect

from edge.config import command_check, limits, workers
from edge.config import tree as yaml_tree
from edge.config.about import bare
from edge.config.explain import explained
from edge.config.kinds import Kinds, UnknownKind
from edge.config.records import Config
from edge.config.source import SourceConfig
from edge.core.errors import ConfigError
from edge.core.values import JsonObject

#: `EDGE_*` variables that are not configuration keys of the board.
RESERVED = frozenset(
    {"EDGE_CONFIG", "EDGE_URL", "EDGE_TOKEN", "EDGE_TOKEN_FILE", "EDGE_CA_FILE", "EDGE_CLIENT_CONFIG", "EDGE_ENDED"}
)
#: Sections with free keys, which environment variables cannot set.
_FREE_FORM = frozenset({"settings"})
CONFIG = inspect.type_info(Config)


@dataclass(frozen=True)
class Loaded:
    """A configuration and the origin of each key: `default`, the path of a file, or the name of a variable."""

    config: Config
    origins: Mapping[str, str]
    path: Path | None

    def rows(self) -> Iterator[tuple[str, object, str]]:
        """Yield (dotted key, effective value, origin) for every key, in the order of the records."""
        for key, value in _leaves(msgspec.to_builtins(self.config, enc_hook=str)):
            yield key, value, self.origins.get(key, "default")


def default_path(env: Mapping[str, str] | None = None) -> Path | None:
    """Return the first of `EDGE_CONFIG`, `./.edge/edge.yaml` (made by `edge up`) and `/etc/edge/edge.yaml`, or None."""
    env = os.environ if env is None else env
    if env.get("EDGE_CONFIG"):
        return Path(env["EDGE_CONFIG"])
    for candidate in (Path(".edge/edge.yaml"), Path("/etc/edge/edge.yaml")):
        try:
            if candidate.exists():
                return candidate.absolute()
        except OSError:  # This user may not read the folder. Reading the file reports that; a default would hide it.
            return candidate.absolute()
    return None


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Loaded:
    """Read the file at `path`, then apply the `EDGE_*` variables of `env`, which win over the file.

    Args:
        path: the file; None means `default_path()`.
        env: the environment; None means that of this process.

    Raises:
        ConfigError: the file is unreadable, a key is unknown, a value has a wrong type or is out of bounds, or two
            values contradict each other.
    """
    env = os.environ if env is None else env
    path = default_path(env) if path is None else path
    tree = yaml_tree.read(path) if path else {}
    _fill_empty_sections(tree)
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


def _leaves(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and value and dotted not in _FREE_FORM:
            yield from _leaves(value, f"{dotted}.")
        else:
            yield dotted, value


def _keys(kind: inspect.Type, prefix: str = "") -> Iterator[tuple[str, inspect.Type]]:
    """Yield (dotted key, type) for every section and every key. A section comes before its keys."""
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            inner = bare(field.type)
            yield f"{prefix}{field.encode_name}", inner
            yield from _keys(inner, f"{prefix}{field.encode_name}.")


def _fill_empty_sections(tree: JsonObject) -> None:
    """Replace each section that is null by an empty one: YAML reads a section without keys as null."""
    for key, kind in _keys(CONFIG):
        *sections, leaf = key.split(".")
        target: object = tree
        for part in sections:
            target = target.get(part) if isinstance(target, dict) else None
        if isinstance(kind, inspect.StructType) and isinstance(target, dict) and target.get(leaf, 0) is None:
            target[leaf] = {}


def _plain_text(kind: inspect.Type) -> bool:
    """Return True if the text of a variable is the value itself, not YAML: a user called 123 is not a number."""
    kinds = map(bare, kind.types) if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(k, inspect.StrType) or (isinstance(k, inspect.CustomType) and k.cls is Path) for k in kinds)


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    variables = {
        "EDGE_" + key.replace(".", "_").upper(): (key, kind)
        for key, kind in _keys(CONFIG)
        if not isinstance(kind, inspect.StructType | inspect.DictType)
    }
    for name in sorted(env):
        if not name.startswith("EDGE_") or name in RESERVED:
            continue
        if name not in variables:
            near = difflib.get_close_matches(name, variables, n=1)
            hint = f"did you mean {near[0]}?" if near else "`edge config show` lists the keys"
            raise ConfigError(name, env[name], f"unknown variable; {hint}", origin="environment")
        key, kind = variables[name]
        yield key, name, env[name] if _plain_text(kind) else yaml_tree.value(env[name], name)


def _convert(tree: JsonObject, origins: Mapping[str, str], path: Path | None) -> Config:
    """Return `tree` as a checked configuration. Raises ConfigError with the key and its origin."""
    try:
        config = _checked(tree, path)
        workers.check_name(config.worker.name, config.workers, origin=origins.get("worker.name", ""))
    except ConfigError as err:
        raise ConfigError(err.key, err.value, err.allowed, origin=_origin(err.key, origins, path)) from err
    return config


def _checked(tree: JsonObject, path: Path | None) -> Config:
    power = tree.get("power")
    listed = power.get("sources") if isinstance(power, dict) else None
    items = listed if isinstance(listed, list) else []
    # The record of a source depends on its kind, so the sources are converted one by one below.
    plain = {**tree, "power": {**power, "sources": []}} if isinstance(power, dict) and items else tree
    try:
        config = msgspec.convert(plain, Config, dec_hook=_decode)
    except msgspec.ValidationError as err:
        raise explained(err, plain, CONFIG) from err
    if items:
        kinds = Kinds(config.power.source_modules, path.absolute().parent if path else None)
        found = (_source(kinds, item, f"power.sources[{number}]") for number, item in enumerate(items))
        sources = tuple(source.with_mqtt_defaults(config.mqtt) for source in found)
        config = msgspec.structs.replace(config, power=msgspec.structs.replace(config.power, sources=sources))
    config.power.check()
    config.gateway.check()
    config.node.check()
    limits.check(config.limits)
    command_check.check(config.commands, allow_any=config.allow_any)
    config.mqtt.check()
    config.power.forecast.check_broker(config.mqtt)
    workers.check(config.workers, running_job=config.worker.running_job, node=config.node.head_url is not None)
    return config


def _source(kinds: Kinds, item: object, key: str) -> SourceConfig:
    """Return the record of one item of `power.sources`. `key` is the place of the item. Raises ConfigError."""
    if not isinstance(item, dict):
        raise ConfigError(key, item, "expected a mapping")
    try:
        record = kinds.record(item.get("kind"))
    except UnknownKind as err:
        allowed = ", ".join(err.allowed)
        if "kind" not in item:
            raise ConfigError(f"{key}.kind", "...", f"required: one of {allowed}") from err
        raise ConfigError(f"{key}.kind", item["kind"], f"expected one of {allowed}") from err
    except ConfigError as err:
        raise ConfigError(f"{key}.kind" if err.key == "kind" else err.key, err.value, err.allowed) from err
    try:
        return msgspec.convert(item, record, dec_hook=_decode)
    except msgspec.ValidationError as err:
        raise explained(err, item, inspect.type_info(record), prefix=key) from err
    except ConfigError:
        raise
    except Exception as err:  # the record of another package may have fields of any type, and code that raises
        why = " ".join(f"{type(err).__name__}: {err}".split())
        raise ConfigError(f"{key}.kind", item["kind"], f"its record cannot be used: {why}") from err


def _decode(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path")
    try:
        return Path(value).expanduser()
    except RuntimeError as err:
        raise ValueError("expected a path; there is no such user") from err


def _origin(key: str, origins: Mapping[str, str], path: Path | None) -> str:
    """Return the origin of `key`, or the origin of the nearest value that contains it."""
    while key:
        if key in origins:
            return origins[key]
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return str(path or "default")


def _absolute(config: Config, path: Path | None) -> Config:
    """Make relative paths absolute: relative to the configuration file, or to the working folder without a file."""
    base = path.absolute().parent if path else Path.cwd()
    password, ca = config.broker.password_file, config.broker.tls_ca
    broker = msgspec.structs.replace(
        config.broker, password_file=base / password if password else None, tls_ca=base / ca if ca else None
    )
    token, ca = config.node.token_file, config.node.ca_file
    node = msgspec.structs.replace(
        config.node, token_file=base / token if token else None, ca_file=base / ca if ca else None
    )
    cert, key = config.gateway.tls_cert, config.gateway.tls_key
    gateway = msgspec.structs.replace(
        config.gateway, tls_cert=base / cert if cert else None, tls_key=base / key if key else None
    )
    return msgspec.structs.replace(
        config,
        root=base / config.root,
        run=base / config.run,
        broker=broker,
        gateway=gateway,
        node=node,
        mqtt=config.mqtt.absolute(base),
        power=config.power.absolute(base),
    )
