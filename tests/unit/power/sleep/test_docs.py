"""The examples of docs/how-to/sleep.md."""

from __future__ import annotations

import re
from pathlib import Path

from edge.config import load
from edge.power.sleep.costs import Costs
from edge.power.sleep.decide import least_s

PAGE = (Path(__file__).parents[4] / "docs" / "how-to" / "sleep.md").read_text()


def test_the_configuration_is_one(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    (tmp_path / "edge.yaml").write_text(found[1])
    sleep = load(tmp_path / "edge.yaml", {}).config.power.sleep
    assert (sleep.when, sleep.accept[1].minutes, sleep.wake_at) == ("low", (17 * 60, 21 * 60), "11:00")


def test_a_boot_pays_from_the_time_on_the_page() -> None:
    found = re.search(r"boot of (\d+) s at (\d+) W pays from (\d+) min on", PAGE)
    assert found
    boot_s, boot_watts, minutes = map(float, found.groups())
    least = least_s(Costs(boot_s=boot_s, boot_watts=boot_watts))
    assert least is not None
    assert minutes - 1 < least / 60 <= minutes
