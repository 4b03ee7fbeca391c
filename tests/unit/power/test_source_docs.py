"""Tests of `docs/reference/power-sources.md`: each kind has a section, and every example loads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from edge.config import load
from edge.config.kinds import built_in_kinds
from tests.docs.pages import marked

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "power-sources.md").read_text()
SECTIONS = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", PAGE))


@pytest.mark.parametrize("kind", built_in_kinds())
def test_each_kind_has_a_section_with_an_example_that_loads(kind: str, tmp_path: Path) -> None:
    """A new kind needs its own section."""
    (example,) = re.findall(r"(?s)```yaml\n(.*?)```", SECTIONS[kind])
    assert {source["kind"] for source in yaml.safe_load(example)["power"]["sources"]} == {kind}
    (tmp_path / "edge.yaml").write_text(example)
    load(tmp_path / "edge.yaml", {})


def test_the_example_of_an_own_source_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module and the configuration are those that `docs/how-to/add-a-source.md` shows."""
    for mark, name in (("brook.py", "brook.py"), ("brook.yaml", "edge.yaml")):
        (text,) = marked("docs/how-to/add-a-source.md", mark)
        (tmp_path / name).write_text(text.replace("/run/wheel", str(tmp_path / "watts")))
    (tmp_path / "watts").write_text("12\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    from tests.power_day import Sampled

    day = Sampled(load(tmp_path / "edge.yaml", {}).config.power)
    day.samples(3)
    assert day.reason == "wheel 12 W"
    (tmp_path / "watts").write_text("4\n")
    day.samples(3)
    assert day.reason == "wheel 4 W, pause is at 5 W"
    del sys.modules["brook"]
