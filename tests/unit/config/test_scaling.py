"""The keys of an entry of `workers` that is scaled."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load
from edge.config.scaling import MOST
from edge.config.workers import WorkerEntry, check, entry_of
from edge.core.errors import ConfigError


def written(folder: Path, workers: str) -> Path:
    path = folder / "edge.yaml"
    path.write_text(f"workers: {workers}\n")
    return path


def test_an_entry_without_max_is_one_process(tmp_path: Path) -> None:
    (entry,) = load(written(tmp_path, "[{name: main}]"), {}).config.workers
    assert (entry.scaled, entry.most) == (False, 1)


def test_auto_is_bounded_by_what_the_board_has() -> None:
    entry = WorkerEntry("extra", max="auto")
    check((entry,), running_job="hold", node=False)
    assert (entry.scaled, entry.most, entry.min) == (True, MOST, 0)


@pytest.mark.parametrize("name", ["extra-1", "extra-64"])
def test_a_process_has_the_entry_that_it_belongs_to(tmp_path: Path, name: str) -> None:
    config = load(written(tmp_path, "[{name: main}, {name: extra, max: 2}]"), {"EDGE_WORKER_NAME": name}).config
    assert config.own_worker == config.workers[1]


@pytest.mark.parametrize("name", ["extra", "extra-", "extra-0", "extra-01", "extra-65", "extra-x", "main-1", "other-1"])
def test_no_other_name_is_a_process_of_a_scaled_entry(name: str) -> None:
    entries = (WorkerEntry("main"), WorkerEntry("extra", max=2))
    assert entry_of(name, entries) is (entries[1] if name == "extra" else None)


@pytest.mark.parametrize(
    "workers",
    ["[{name: a, max: 2}, {name: a-1}]", "[{name: a-2}, {name: a, max: 1}]", f"[{{name: {'a' * 30}, max: 2}}]"],
)
def test_names_of_processes_are_kept_free(tmp_path: Path, workers: str) -> None:
    """Two processes of one name would compete for its lock, and a name may have 32 characters at most."""
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, workers), {})
    assert refused.value.key.endswith(".name")


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("min: 1", "workers[0].min"),
        ("up_at: 50", "workers[0].up_at"),
        ("min: -1, max: 2", "workers[0].min"),
        ("max: 0", "workers[0].max"),
        ("max: 65", "workers[0].max"),
        ("max: many", "workers[0].max"),
        ("max: true", "workers[0].max"),
        ("max: 1.5", "workers[0].max"),
        ("min: 3, max: 2", "workers[0].min"),
        ("max: 2, mode: guess", "workers[0].mode"),
        ("max: 2, mode: tasks, up_at: 5, down_at: 5", "workers[0].down_at"),
        ("max: 2, drain_target_s: 0", "workers[0].drain_target_s"),
        ("max: 2, down_after_s: 1", "workers[0].down_after_s"),
        ("max: 2, down_after_s: .inf", "workers[0].down_after_s"),
        ("max: 2, up_after_s: -1", "workers[0].up_after_s"),
        ("max: 2, start_cost_s: .nan", "workers[0].start_cost_s"),
        ("max: 2, rate_per_min: 0", "workers[0].rate_per_min"),
        ("max: 2, guess_s: 0", "workers[0].guess_s"),
        ("max: 2, guess_bytes: 1", "workers[0].guess_bytes"),
        ("max: 2, reserve_bytes: -1", "workers[0].reserve_bytes"),
    ],
)
def test_a_bad_bound_is_refused_in_one_line_by_its_key(tmp_path: Path, keys: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, f"[{{name: extra, {keys}}}]"), {})
    assert refused.value.key == key
    assert len(str(refused.value).splitlines()) == 1
