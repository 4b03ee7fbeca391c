"""The record of a kind of source is found in the product, in an installed package or in a module of the owner."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import load
from edge.config.kinds import Kinds, UnknownKind, built_in_kinds
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.probe import as_yaml, probe

RECORD = """
from pathlib import Path
from typing import Annotated

from edge.config.about import about
from edge.power.inputs.quantity import charge
from edge.power.inputs.reading import known
from edge.power.inputs.source import PowerSourceConfig


class MeterConfig(PowerSourceConfig, frozen=True, tag="{kind}"):
    \"\"\"A meter from elsewhere.\"\"\"

    path: Annotated[Path, about("its file")]

    def quantities(self, power):
        return (charge(power),)

    def open(self, layout, notify):
        raise NotImplementedError
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of Python, which is removed after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("meter"):
            del sys.modules[name]


def install(folder: Path, module: str, kind: str, *, target: str | None = None, body: str | None = None) -> None:
    """Put a module into `folder`, with the metadata of a package that declares `kind`."""
    (folder / f"{module}.py").write_text(RECORD.format(kind=kind) if body is None else body)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edge.sources]\n{kind} = {target or f'{module}:MeterConfig'}\n")


def read(folder: Path, text: str) -> object:
    (folder / "edge.yaml").write_text(textwrap.dedent(text))
    return load(folder / "edge.yaml", env={}).config.power.sources


@pytest.mark.parametrize("kind", built_in_kinds())
def test_each_file_of_the_product_declares_the_kind_of_its_name(kind: str) -> None:
    """Each module also explains its kind in a sentence, which the example shows."""
    record = Kinds().record(kind)
    assert record.__module__ == f"edge.power.sources.{kind}"
    assert record.__doc__


@pytest.mark.parametrize("target", ["meter_one:MeterConfig", "meter_one"])
def test_an_installed_package_brings_a_kind(elsewhere: Path, tmp_path: Path, target: str) -> None:
    """Its entry point names the record or the module of the record. Its errors are those of every source."""
    install(elsewhere, "meter_one", "meter", target=target)
    (source,) = read(tmp_path, "power: {sources: [{kind: meter, path: m}]}")  # type: ignore[misc]
    assert source.path == tmp_path / "m"  # type: ignore[has-type]
    assert source.label == "meter"  # type: ignore[has-type]
    with pytest.raises(ConfigError, match=r"power.sources\[1\].path = 7: expected a path"):
        read(tmp_path, "power: {sources: [{kind: plain}, {kind: meter, path: 7}]}")


def test_a_module_beside_the_file_brings_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`power.source_modules` names a module next to the file, and nothing has to be installed."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "meter_two.py").write_text(RECORD.format(kind="meter2"))
    text = "power: {source_modules: [meter_two], sources: [{kind: meter2, path: m}]}"
    (source,) = read(tmp_path, text)  # type: ignore[misc]
    assert source.kind == "meter2"  # type: ignore[has-type]
    del sys.modules["meter_two"]


def test_an_unknown_kind_is_one_line_with_the_known_ones(elsewhere: Path, tmp_path: Path) -> None:
    """The error lists the built-in kinds and the installed ones."""
    install(elsewhere, "meter_three", "meter3")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "power: {sources: [{kind: plain}, {kind: metre}]}")
    assert caught.value.key == "power.sources[1].kind"
    assert caught.value.value == "metre"
    assert f"expected one of {', '.join(sorted([*built_in_kinds(), 'meter3']))}" in caught.value.allowed


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise RuntimeError('no\\nsuch board')", "RuntimeError: no such board"),
        ("MeterConfig = 3", "not a SourceConfig"),
        (RECORD.format(kind="other"), "is of kind 'other'"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_a_broken_package_is_one_line(elsewhere: Path, tmp_path: Path, body: str, says: str) -> None:
    """The error names the package and what is wrong with it."""
    install(elsewhere, "meter_four", "meter4", body=body)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "power: {sources: [{kind: meter4, path: m}]}")
    assert caught.value.key == "power.sources[0].kind"
    assert "of meter_four cannot be used" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the key with the module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ConfigError, match=r"power.source_modules\[0\] = 'nowhere': cannot be imported"):
        read(tmp_path, "power: {source_modules: [nowhere], sources: [{kind: meter}]}")


@pytest.mark.parametrize("kind", ["..inputs.gpio", "__init__", "Plain", "os", "", 3, None, ["plain"]])
def test_what_is_no_name_of_a_kind_imports_nothing(kind: object) -> None:
    """A kind is a word that a person typed, and must not become an import path."""
    with pytest.raises(UnknownKind):
        Kinds().record(kind)


def test_only_the_kinds_that_are_named_are_imported(tmp_path: Path) -> None:
    """A board needs memory only for its own kinds, and reads no metadata of packages."""
    (tmp_path / "edge.yaml").write_text("power: {sources: [{kind: disk}]}")
    code = (
        "import sys; from edge.config import load; from pathlib import Path; "
        f"load(Path({str(tmp_path / 'edge.yaml')!r}), {{}}); print(*sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith("edge.power.sources.")] == ["edge.power.sources.disk"]
    assert not {"importlib.metadata", "gpiozero", "gpiod", "psutil"} & set(loaded)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("raise SystemExit('bye')", "cannot be used: SystemExit: bye"),
        ("class MeterConfig: pass", "meter_odd:MeterConfig is not a SourceConfig"),
        ("MeterConfig = None", "is not a SourceConfig"),
    ],
)
def test_a_package_that_misbehaves_is_one_line(elsewhere: Path, tmp_path: Path, line: str, why: str) -> None:
    """Even a package that calls `sys.exit` does not end the program."""
    install(elsewhere, "meter_odd", "odd", body=line)
    with pytest.raises(ConfigError, match=r"power.sources\[0\].kind = 'odd'") as err:
        read(tmp_path, "power: {sources: [{kind: odd}]}")
    assert why in str(err.value)


@pytest.mark.parametrize(
    "field",
    [
        "    n: int = 5\n\n    def __post_init__(self):\n        raise OSError('a\\nb')",
        "    n: 'Nowhere' = 0",
    ],
)
def test_a_record_that_cannot_be_made_names_its_kind(elsewhere: Path, tmp_path: Path, field: str) -> None:
    """A field of a type that no file can hold and code that raises are both reported with the kind."""
    body = RECORD.format(kind="odd").replace('    path: Annotated[Path, about("its file")]', field)
    install(elsewhere, "meter_bad", "odd", body=body)
    with pytest.raises(ConfigError, match=r"power.sources\[0\].kind = 'odd': its record cannot be used: ") as err:
        read(tmp_path, "power: {sources: [{kind: odd, n: 1}]}")
    assert "\n" not in str(err.value)


def test_a_kind_of_the_product_cannot_be_replaced(elsewhere: Path, tmp_path: Path) -> None:
    """A package that declares the kind `plain` is not imported."""
    install(elsewhere, "meter_shadow", "plain", body="raise RuntimeError('imported')")
    (source,) = read(tmp_path, "power: {sources: [{kind: plain}]}")  # type: ignore[misc]
    assert type(source).__module__ == "edge.power.sources.plain"  # type: ignore[has-type]


BROKEN = """
from edge.power.inputs.source import FoundSource, PowerSourceConfig


class MeterConfig(PowerSourceConfig, frozen=True, tag="{kind}"):
    \"\"\"A meter from elsewhere.\"\"\"

    def open(self, layout, notify):
        raise RuntimeError("no\\nbus")

    @classmethod
    def probe(cls, root):
        {probe}
"""


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("raise RuntimeError('imported')", "# power.sources"),
        (
            BROKEN.format(kind="odd", probe="raise RuntimeError('a\\nb')"),
            "# kind odd cannot be probed: RuntimeError: a b",
        ),
        (BROKEN.format(kind="odd", probe="yield FoundSource(cls())"), "# cannot be read: RuntimeError: no bus"),
    ],
)
def test_a_probe_goes_on_past_a_broken_package(elsewhere: Path, tmp_path: Path, body: str, note: str) -> None:
    """The probe reports why the package failed, and shows the other sources of the board."""
    install(elsewhere, "meter_broken", "odd", body=body)
    text = as_yaml(probe(Layout(tmp_path, tmp_path), root=tmp_path))
    assert note.replace("power.sources", "kind = 'odd': the entry point") in text
    assert "kind: clock" in text
