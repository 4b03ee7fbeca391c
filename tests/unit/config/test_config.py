"""`edge.yaml` gives either a whole Config or one line that names the key, the value and what is allowed."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from edge.config import Config, default_path, load
from edge.config.example import example
from edge.config.kinds import Kinds, built_in_kinds
from edge.core.errors import ConfigError
from tests.capabilities import bound_by_file_modes

EXAMPLE = example()
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


def structs(kind: inspect.Type, seen: set[type]) -> Iterator[inspect.StructType]:
    """Yield every record under `kind`, through lists, optional values and unions."""
    match kind:
        case inspect.Metadata(type=inner):
            yield from structs(inner, seen)
        case inspect.StructType():
            if kind.cls not in seen:
                seen.add(kind.cls)
                yield kind
                for field in kind.fields:
                    yield from structs(field.type, seen)
        case inspect.UnionType(types=types):
            for option in types:
                yield from structs(option, seen)
        case inspect.CollectionType(item_type=item):
            yield from structs(item, seen)


SEEN: set[type] = set()
RECORDS = list(structs(inspect.type_info(Config), SEEN))
SOURCES = [record for kind in built_in_kinds() for record in structs(inspect.type_info(Kinds().record(kind)), SEEN)]
RECORDS = [record for record in RECORDS if record.cls.__name__ != "SourceConfig"] + SOURCES


def keys_of(tree: Any, kind: inspect.Type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of sections and values that the record `kind` has and `tree` does not have."""
    if not isinstance(kind, inspect.StructType):
        return
    for field in kind.fields:
        name = f"{prefix}{field.encode_name}"
        if not isinstance(tree, dict) or field.encode_name not in tree:
            yield name
        else:
            yield from keys_of(tree[field.encode_name], field.type, f"{name}.")


# ---- the example ----


def test_the_example_is_the_defaults(tmp_path: Path) -> None:
    """Every value in the example is the default, so uncommenting a line changes nothing."""
    (tmp_path / "edge.yaml").write_text(EXAMPLE)
    assert load(tmp_path / "edge.yaml", {}).config == Config()


def test_the_example_holds_every_key() -> None:
    """The example has every key of the records. Loading it shows that it has no other key."""
    tree = yaml.safe_load(EXAMPLE)
    assert list(keys_of(tree, inspect.type_info(Config))) == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.cls.__name__)
def test_the_example_names_every_key_of_every_record(record: inspect.StructType) -> None:
    """Comments explain every key of the records inside lists and optional values."""
    text = EXAMPLE
    missing = [f.encode_name for f in record.fields if not re.search(rf"\b{re.escape(f.encode_name)}:", text)]
    assert missing == []
    if record.tag is not None:
        assert f"{record.tag_field}: {record.tag}" in text


def test_the_example_explains_every_key() -> None:
    """Each key has a comment: its own, that of its section, or one for a block of keys."""
    explained = False
    for line in EXAMPLE.splitlines():
        if not line.strip():
            explained = False
        elif line.lstrip().startswith("#"):
            explained = True
        else:
            assert explained, line


def test_the_sources_in_the_example_can_be_used(tmp_path: Path) -> None:
    """The commented list of power sources loads after its comment signs are removed."""
    lines = EXAMPLE.splitlines()
    kinds = [line.removeprefix("  #   ") for line in lines if re.match(r"  #   (- kind:|  \w+:)", line)]
    first = next(number for number, line in enumerate(kinds) if line.startswith("- kind:"))
    sources = yaml.safe_load("\n".join(kinds[first:]))
    assert [source["kind"] for source in sources] == built_in_kinds()
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump({"power": {"sources": sources}}))
    assert len(load(tmp_path / "edge.yaml", {}).config.power.sources) == len(sources)


# ---- anything else ----

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0", "~nosuch", "a\0b", "/x", "tasks.solve", "2001-01-01", ".inf"])
)
keys = st.sampled_from(
    sorted({field.encode_name for record in RECORDS for field in record.fields} | {"kind", "no_such_key"})
) | st.text(string.printable, max_size=5)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers(), inner, max_size=5),
    max_leaves=20,
)


def loaded_or_refused(path: Path, env: dict[str, str] | None = None) -> None:
    """Load the configuration. A ConfigError must be one short line that says what is allowed."""
    refused: ConfigError | None = None
    try:
        config = load(path, env or {}).config
    except ConfigError as err:
        refused = err
    else:
        assert isinstance(config, Config)
        assert config.root.is_absolute()
        assert config.run.is_absolute()
    if refused is not None:
        assert refused.exit_code == 2
        assert refused.allowed


@relaxed
@given(tree=st.dictionaries(keys, trees, max_size=6))
def test_any_tree_is_a_config_or_one_error(tree: Any, tmp_path: Path) -> None:
    """For any keys and values in the file, the only error is ConfigError."""
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=False))
    loaded_or_refused(path)


@relaxed
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_config_or_one_error(data: bytes, tmp_path: Path) -> None:
    """A file that is not YAML or not text gives a ConfigError too."""
    path = tmp_path / "edge.yaml"
    path.write_bytes(data)
    loaded_or_refused(path)


@relaxed
@given(
    name=st.sampled_from(
        ["EDGE_GATEWAY_PORT", "EDGE_TASKS", "EDGE_ROOT", "EDGE_BROKER_USER", "EDGE_WORKER_TIME_LIMIT_S"]
    )
    | st.text(string.ascii_uppercase + "_", max_size=12).map(lambda text: f"EDGE_{text}"),
    value=st.text(max_size=30),
)
def test_any_variable_is_a_config_or_one_error(name: str, value: str, tmp_path: Path) -> None:
    """An `EDGE_*` variable is checked in the same way as the file."""
    path = tmp_path / "edge.yaml"
    path.touch()
    loaded_or_refused(path, {name: value})


def test_endless_aliases_are_refused_within_bounds(tmp_path: Path) -> None:
    """A small file with aliases for 10^9 values is refused without their time and memory."""
    path = tmp_path / "edge.yaml"
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path.write_text("settings:\n" + "\n".join(f"  {row}" for row in rows))
    with pytest.raises(ConfigError, match="more than 20000 values"):
        load(path, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gateway: {prot: 1}", "gateway.prot = 1: unknown key; allowed here: host, port"),
        ("gateway: {port: 0}", "gateway.port = 0: expected a whole number from 1 to 65535"),
        ("gateway: {port: '1'}", "gateway.port = '1': expected a whole number from 1 to 65535"),
        ("worker: {name: a b}", "worker.name = 'a b': expected 1 to 32 letters, digits, `_` or `-`"),
        ("tasks: [a.b, '1']", "tasks[1] = '1': expected the name of a Python module"),
        ("retention: {keep_days: 0}", "retention.keep_days = 0: expected a number above 0 up to 36500"),
        ("broker: 3", "broker = 3: expected a mapping"),
        ("root: 3", "root = 3: expected a path"),
        ("root: ~nosuchuser/x", "there is no such user"),
        ("power: {thresholds: {pause_percent: 50}}", "pause_percent = 50.0: must be below power.thresholds.resume"),
        (
            "power: {thresholds: {resume_percent: 95}}",
            "surplus_percent = 90.0: must not be below power.thresholds.resume",
        ),
        ("power: {thresholds: {pause_percent: .nan}}", "pause_percent = nan: expected a number from 0 to 100"),
        ("root: a\nroot: b", "key 'root' is given twice"),
        ("- a", "expected a mapping at the top"),
        ("a: [", "not YAML"),
        ("a: 2001-13-45", "not YAML"),
        ("settings: {chat: {1: a}}", "1 = '...': expected keys that are text"),
        ("power: {sources: [{kind: plain, 3: a}]}", "power.sources[0].3 = '...': expected keys that are text"),
        (f"root: [{'x, ' * 500}]", "...: expected a path"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(text: str, says: str, tmp_path: Path) -> None:
    """One line names the file, the key, the value and what is allowed."""
    path = tmp_path / "edge.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EDGE_GATEWAY_PROT", "1", "did you mean EDGE_GATEWAY_PORT"),
        ("EDGE_GATEWAY_PORT", "x", "gateway.port = 'x': expected a whole number"),
        ("EDGE_GATEWAY_PORT", "[", "not YAML"),
        ("EDGE_BROKER", "{}", "unknown variable"),
        ("EDGE_POWER_THRESHOLDS_PAUSE_PERCENT", "70", "must be below"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str, says: str) -> None:
    """The line names the variable, not a file."""
    with pytest.raises(ConfigError) as caught:
        load(None, {name: value})
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_a_variable_wins_over_the_file_and_the_origin_says_so(tmp_path: Path) -> None:
    """A variable wins over the file, the file over the default, and the origin is remembered."""
    path = tmp_path / "edge.yaml"
    path.write_text("gateway: {port: 1, host: a}")
    loaded = load(path, {"EDGE_GATEWAY_PORT": "2"})
    rows = {key: (value, origin) for key, value, origin in loaded.rows()}
    assert rows["gateway.port"] == (2, "EDGE_GATEWAY_PORT")
    assert rows["gateway.host"] == ("a", str(path))
    assert rows["gateway.max_wait_s"] == (300.0, "default")


def test_text_in_a_variable_stays_text() -> None:
    """The variable for the name of a user called 123 is not read as a number."""
    assert load(None, {"EDGE_BROKER_USER": "123"}).config.broker.user == "123"


def test_an_empty_section_means_the_defaults(tmp_path: Path) -> None:
    """A section whose keys are all commented out is null in YAML."""
    path = tmp_path / "edge.yaml"
    path.write_text("broker:\n  # port: 1\npower:\n  thresholds:\n")
    assert load(path, {}).config == Config()


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """A relative path starts at the folder of the file, not at the working folder."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: state\nbroker: {password_file: secret}")
    config = load(path, {}).config
    assert config.root == tmp_path / "state"
    assert config.broker.password_file == tmp_path / "secret"


def test_the_client_variables_are_not_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGE_URL and similar variables belong to the client, so a board ignores them."""
    monkeypatch.chdir(tmp_path)  # A stack that `make demo` left in this folder has its own configuration file.
    assert load(None, {"EDGE_URL": "http://x", "EDGE_TOKEN": "t", "EDGE_TOKEN_FILE": "f"}).config == Config()


def test_edge_config_names_the_file(tmp_path: Path) -> None:
    """The file in EDGE_CONFIG must exist; it is not silently left out."""
    env = {"EDGE_CONFIG": str(tmp_path / "missing.yaml")}
    assert default_path(env) == tmp_path / "missing.yaml"
    with pytest.raises(ConfigError, match="No such file"):
        load(None, env)


@bound_by_file_modes
def test_a_file_that_may_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    """An unreadable file is an error, because defaults instead would hide a wrong threshold."""
    path = tmp_path / "edge.yaml"
    path.touch(mode=0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load(path, {})


def test_a_named_pipe_is_no_file(tmp_path: Path) -> None:
    """A named pipe is refused, because opening it would wait for a writer without end."""
    os.mkfifo(tmp_path / "edge.yaml")
    with pytest.raises(ConfigError, match="expected a file, not a named pipe"):
        load(tmp_path / "edge.yaml", env={})


def test_a_pipe_without_a_name_is_read() -> None:
    """A deployment checks a configuration by /dev/stdin before it is on the board."""
    out, into = os.pipe()
    try:
        os.write(into, b"gateway: {port: 9000}\n")
        os.close(into)
        assert load(Path(f"/dev/fd/{out}"), env={}).config.gateway.port == 9000
    finally:
        os.close(out)


def test_a_key_that_moves_the_cursor_is_shown_as_text(tmp_path: Path) -> None:
    """An error is one line, even if a key has control characters."""
    (tmp_path / "edge.yaml").write_text('"wor\\x1b[31m\\nker": 1\n')
    with pytest.raises(ConfigError, match=r"wor\\x1b\[31m\\nker = '...': unknown key"):
        load(tmp_path / "edge.yaml", env={})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in place of the file gives one line, as every other unusable file."""
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, {})


def test_the_password_is_read_anew(tmp_path: Path) -> None:
    """The password can be changed without a restart. An unreadable file is named."""
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    path = tmp_path / "edge.yaml"
    path.write_text("broker: {password_file: secret}")
    broker = load(path, {}).config.broker
    assert broker.password() == "one"
    secret.write_text("two\n")
    assert broker.password() == "two"
    secret.unlink()
    with pytest.raises(ConfigError, match="password_file"):
        broker.password()
