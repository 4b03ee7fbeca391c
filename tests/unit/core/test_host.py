"""Facts about the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.host import memory_limits_hold

HEAD = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"


@pytest.mark.parametrize(
    ("unified", "old", "held"),
    [
        ("cpuset cpu io memory pids\n", None, True),
        ("cpuset cpu io pids\n", None, False),
        ("\n", f"{HEAD}memory\t0\t1\t1\n", False),
        (None, f"{HEAD}cpu\t2\t1\t1\nmemory\t4\t10\t1\n", True),
        (None, f"{HEAD}memory\t0\t1\t0\n", False),
        (None, HEAD, False),
        (None, None, None),
    ],
)
def test_memory_limits_hold(unified: str | None, old: str | None, held: bool | None, tmp_path: Path) -> None:
    """The answer comes from the files of both versions of control groups."""
    if unified is not None:
        (tmp_path / "cgroup.controllers").write_text(unified)
    if old is not None:
        (tmp_path / "cgroups").write_text(old)
    assert memory_limits_hold(tmp_path, tmp_path / "cgroups") is held
