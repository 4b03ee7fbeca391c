"""The list of workers in `edge.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load
from edge.core.errors import ConfigError
from edge.model import Pool, WorkerPool


def written(folder: Path, workers: str) -> Path:
    path = folder / "edge.yaml"
    path.write_text(f"workers: {workers}\n")
    return path


def test_a_worker_without_an_entry_is_one_of_the_pool_main(tmp_path: Path) -> None:
    entry = load(written(tmp_path, "[]"), {"EDGE_WORKER_NAME": "second"}).config.own_worker
    assert (entry.name, entry.pool, entry.bodies, entry.takes) == ("second", WorkerPool.MAIN, 1, Pool.MAIN)


def test_a_worker_of_threads_runs_a_hundred_bodies_unless_told(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[{name: io, pool: threads}]"), {"EDGE_WORKER_NAME": "io"}).config
    assert (config.own_worker.bodies, config.own_worker.takes) == (100, Pool.IO)


@pytest.mark.parametrize(
    ("workers", "key"),
    [
        ("[{name: a}, {name: a}]", "workers[1].name"),
        ("[{name: a, concurrency: 2}]", "workers[0].concurrency"),
        ("[{name: a, pool: threads, concurrency: 1001}]", "workers[0].concurrency"),
        ("[{name: a, pool: threads, concurrency: 0}]", "workers[0].concurrency"),
        ("[{name: a, pool: processes}]", "workers[0].pool"),
        ("[{name: a, classes: []}]", "workers[0].classes"),
        ("[{name: a, classes: [often]}]", "workers[0].classes[0]"),
        ("[{name: a, kinds: [chat]}, {name: b, kinds: [chat]}]", "workers[1].kinds"),
        ("[{name: 'a b'}]", "workers[0].name"),
        ("[{pool: threads}]", "workers[0].name"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_its_key(tmp_path: Path, workers: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, workers), {})
    assert refused.value.key == key


def test_the_worker_of_threads_needs_no_entry(tmp_path: Path) -> None:
    """Without a list, the name `io` means the worker of threads. With `freeze` there is no such worker."""
    path = written(tmp_path, "[]")
    entry = load(path, {"EDGE_WORKER_NAME": "io"}).config.own_worker
    assert (entry.name, entry.pool) == ("io", WorkerPool.THREADS)
    frozen = load(path, {"EDGE_WORKER_NAME": "io", "EDGE_WORKER_RUNNING_JOB": "freeze"}).config.own_worker
    assert (frozen.name, frozen.pool) == ("io", WorkerPool.MAIN)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("worker: {running_job: freeze}\nworkers: [{name: io, pool: threads}]", "worker.running_job"),
        ("worker: {name: io}", "worker.name"),
        ("workers: [{name: a, kinds: [chat, chat]}]", "workers[0].kinds"),
        ("workers: [{name: a, classes: [normal, normal]}]", "workers[0].classes"),
        (
            "node: {head_url: 'https://head:8420', token_file: token}\nworkers: [{name: a, kinds: [chat]}]",
            "workers[0].kinds",
        ),
    ],
)
def test_a_list_that_contradicts_the_rest_is_refused_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(f"{text}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, {})
    assert refused.value.key == key
    assert len(str(refused.value).splitlines()) == 1


def test_a_refusal_shows_classes_as_they_are_written(tmp_path: Path) -> None:
    """The error shows the classes as in the file, not as Python prints an enum."""
    with pytest.raises(ConfigError, match=r"\['always', 'always'\]: expected each class once"):
        load(written(tmp_path, "[{name: a, classes: [always, always]}]"), {})
