"""The catalogue of the kinds of job, which another process reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.catalog import catalogue
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.signature import short
from edge.config import Config, Loaded
from edge.core.errors import BadArguments, CatalogueError, UnknownTask
from edge.worker.celery import modules

MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def _no_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_CONFIG", raising=False)


def test_every_module_is_read_and_a_broken_one_is_one_line(make_config: MakeConfig, tmp_path: Path) -> None:
    """Names, docstrings and options are read. An error names the cause. Output of a module does no harm."""
    make_config(tasks=["good", "missing", "untyped", "leaves", "wrong"])
    (tmp_path / "good.py").write_text(
        "from edge.worker import Job, task\nprint('hello')\n"
        "@task(power='surplus', retries=2, time_limit_s=5)\n"
        "def double(number: int, job: Job) -> int:\n"
        "    '''Give twice.\n\n    More words.\n    '''\n    return 2 * number\n"
    )
    (tmp_path / "untyped.py").write_text("from edge.worker import task\n@task\ndef f(x):\n    pass\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit('gone')\n")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    found = catalogue.load(tmp_path / "edge.yaml")
    assert list(found.tasks) == ["double"]
    info = found.tasks["double"]
    assert (info.summary, info.description) == ("Give twice.", "Give twice.\n\nMore words.")
    assert (info.module, info.power, info.retries, info.time_limit_s) == ("good", "surplus", 2, 5.0)
    assert info.positional == ("number",)
    assert set(found.errors) == {"missing", "untyped", "leaves", "wrong"}
    assert "No module named 'missing'" in found.errors["missing"]
    assert "untyped.py:" in found.errors["untyped"]
    assert "'x' has no type hint" in found.errors["untyped"]
    assert "gone" in found.errors["leaves"]
    assert "SyntaxError" in found.errors["wrong"]
    assert all("\n" not in error for error in found.errors.values())
    assert "good" not in sys.modules


def test_a_command_may_have_any_name_of_a_kind(make_config: MakeConfig, tmp_path: Path) -> None:
    """A name with a hyphen, a dot or a colon, and a word of Python, are names like others."""
    names = ["to-mp4", "import", "audio.trim", "media:convert"]
    make_config(tasks=[], commands=[{"name": name, "run": ["true"]} for name in names])
    found = catalogue.load(tmp_path / "edge.yaml")
    assert (set(found.tasks), found.errors) == (set(names), {})


def test_only_modules_that_are_named_are_listed(make_config: MakeConfig, tmp_path: Path) -> None:
    """Other modules of the package are not listed. A module lists imported tasks too, and a package its own."""
    (tmp_path / "other.py").write_text("from tasks.primes import primes\n")
    for tasks, listed in (
        (["tasks.solve"], {"solve"}),
        (["tasks.solve", "other"], {"solve", "primes"}),
        (["tasks"], {"solve", "chat", "factorial", "primes"}),
    ):
        make_config(tasks=tasks)
        assert set(catalogue.load(tmp_path / "edge.yaml").tasks) == listed


def test_a_module_that_ends_its_reader_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    """No task can be read then, and the error names the module that ended the process."""
    make_config(tasks=["tasks.solve", "ends", "tasks.primes"])
    (tmp_path / "ends.py").write_text("import os\nos._exit(0)\n")
    with pytest.raises(CatalogueError, match=r"^module ends: its import ended the process"):
        catalogue.load(tmp_path / "edge.yaml")


def test_a_module_that_never_ends_is_one_line(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the line where the module hung. The modules after it are imported."""
    config = make_config(tasks=["hangs", "fine"])
    (tmp_path / "hangs.py").write_text("while True:\n    pass\n")
    (tmp_path / "fine.py").write_text("fine = True\n")
    monkeypatch.setattr(modules, "IMPORT_S", 0.2)
    monkeypatch.setattr(sys, "path", [*sys.path])
    errors = modules.load_tasks(Loaded(config, {}, tmp_path / "edge.yaml"))
    assert list(errors) == ["hangs"]
    assert "its import did not end within 0.2 s" in errors["hangs"]
    assert "hangs.py:" in errors["hangs"]


def test_a_process_that_a_module_left_running_is_not_waited_for(make_config: MakeConfig, tmp_path: Path) -> None:
    """If a child of a module keeps stdout open, the reader does not wait for it."""
    make_config(tasks=["leaves"])
    (tmp_path / "leaves.py").write_text("import os, time\nif os.fork() == 0:\n    time.sleep(600)\n")
    assert catalogue.load(tmp_path / "edge.yaml", timeout_s=30).errors == {}


def test_the_shipped_kinds_are_described(make_config: MakeConfig, tmp_path: Path) -> None:
    """Each shipped kind has a summary, and importing them all needs no ChatterBot."""
    make_config()
    found = catalogue.load(tmp_path / "edge.yaml")
    assert set(found.tasks) == {"solve", "chat", "factorial", "primes"}
    assert not found.errors
    assert all(info.summary.endswith(".") for info in found.tasks.values())


def test_modules_that_hang_or_a_bad_configuration_are_an_error(make_config: MakeConfig, tmp_path: Path) -> None:
    """The error is one line, and comes in limited time."""
    make_config(tasks=["slow"])
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(CatalogueError, match="not imported within 2 s"):
        catalogue.load(tmp_path / "edge.yaml", timeout_s=2)
    (tmp_path / "edge.yaml").write_text("no_such_key: 1\n")
    with pytest.raises(CatalogueError, match="no_such_key"):
        catalogue.load(tmp_path / "edge.yaml")


def _schema(**node: Any) -> Catalogue:
    schema = {"type": "object", "properties": {"n": node}, "required": ["n"], "additionalProperties": False}
    return Catalogue({"work": TaskInfo("work", positional=("n",), schema=schema)}, {})


@pytest.mark.parametrize(
    ("node", "value", "sentence"),
    [
        ({"type": "integer"}, 1.0, "argument 'n' = 1.0: must be a whole number"),
        ({"type": "number"}, True, "argument 'n' = True: must be a number"),
        ({"type": "number"}, 10**400, f"argument 'n' = {short(10**400)}: must be a number within the range of a float"),
        ({"type": "integer", "minimum": 3}, 1, "argument 'n' = 1: must be at least 3"),
        ({"type": "string", "maxLength": 2}, "abc", "argument 'n' = 'abc': must have at most 2 characters"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "argument 'n' = 'c': must be one of 'a', 'b'"),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], "argument 'n'[1] = 1: must be text"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "x",
            "argument 'n' = 'x': must be a whole number or null, within its bounds",
        ),
    ],
)
def test_a_refusal_is_one_sentence(node: dict[str, Any], value: Any, sentence: str) -> None:
    """It names the argument, the value and what is allowed."""
    with pytest.raises(BadArguments) as err:
        _schema(**node).check("work", [value], {})
    assert str(err.value) == f"task 'work': {sentence}"


def test_an_unknown_task_names_the_known() -> None:
    """The list of known tasks makes a typing error visible."""
    with pytest.raises(UnknownTask, match="unknown task 'wrok': known are work"):
        _schema(type="integer").check("wrok", [1], {})


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ([1], {"m": 2}, "unknown argument 'm'; the task takes n"),
        ([], {}, "argument 'n' is missing; the task takes n"),
        ([1, 2], {}, "2 arguments given by place; the task takes n"),
        ([1], {"n": 2}, "argument 'n' is given by place and by name"),
    ],
)
def test_arguments_that_do_not_fit_the_call_are_named(args: list[Any], kwargs: dict[str, Any], words: str) -> None:
    """Each error lists the arguments that the task takes."""
    with pytest.raises(BadArguments) as err:
        _schema(type="integer").check("work", args, kwargs)
    assert str(err.value) == f"task 'work': {words}"


def test_arguments_nested_beyond_all_bounds_are_refused() -> None:
    """The validator has no stack for them, and the error is still one sentence."""
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}}
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(BadArguments, match="nested too deeply"):
        Catalogue({"work": TaskInfo("work", positional=("n",), schema=schema)}, {}).check("work", [nested], {})


def test_the_general_validator_is_loaded_at_need() -> None:
    """A gateway whose jobs all fit saves 5 MiB of memory."""
    program = (
        "import sys; from edge.catalog.catalogue import *; from edge.core.errors import BadArguments\n"
        "schema = {'properties': {'n': {'type': 'integer', 'maximum': 10}}}\n"
        "catalogue = Catalogue({'t': TaskInfo('t', positional=('n',), schema=schema)}, {})\n"
        "catalogue.check('t', [1], {}); print('jsonschema' in sys.modules)\n"
        "try: catalogue.check('t', [11], {})\n"
        "except BadArguments as err: print(err)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", "task 't': argument 'n' = 11: must be at most 10"]


@pytest.mark.parametrize("rule", [{"minimum": 0, "maximum": 10}, {"multipleOf": 3}])
def test_bounds_hold_for_numbers_of_any_size(rule: dict[str, int]) -> None:
    """Numbers beyond the range of floats are checked too. Otherwise the worker would refuse a job that was accepted."""
    schema = {"properties": {"n": {"type": "integer", **rule}}}
    catalogue = Catalogue({"t": TaskInfo("t", positional=("n",), schema=schema)}, {})
    with pytest.raises(BadArguments, match="must be"):
        catalogue.check("t", [10**400], {})
