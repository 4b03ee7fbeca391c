"""The examples and defaults in docs/how-to/scaling.md agree with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.config import load
from edge.config.scaling import ScaleConfig

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "scaling.md"


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    exec(found[1], {})
    assert capsys.readouterr().out == found[2]


def test_the_example_of_the_configuration_is_one(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "edge.yaml").write_text(found[1])
    config = load(tmp_path / "edge.yaml", {}).config
    assert [entry.name for entry in config.scaled] == ["extra"]


def test_the_defaults_are_those_of_the_table() -> None:
    page = PAGE.read_text().partition("| key | default |")[2]
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]+) \|", page, re.MULTILINE)
    listed = {name.strip("` "): value for names, values in rows for name, value in _pairs(names, values)}
    defaults = {name: str(value) for name, value in zip(_FIELDS, ScaleConfig.__struct_defaults__, strict=True)}
    defaults |= {"guess_bytes": "128 MiB", "reserve_bytes": "64 MiB", "max": "none", "mode": "`drain`"}
    assert {name: value.removesuffix(".0") for name, value in defaults.items()} == listed


_FIELDS = ScaleConfig.__struct_fields__


def _pairs(names: str, values: str) -> list[tuple[str, str]]:
    return list(zip(names.split(", "), values.split(", "), strict=True))
