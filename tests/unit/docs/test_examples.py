"""Every example of the pages is run or checked by a test, or says what it needs to be run.

The mark `<!-- test: NAME -->` above a block says how it is tested:

- `shell`, `program`, `output`: they run one after another on a whole stack (`tests/integration/test_docs.py`)
- `edge.yaml`, or a block of YAML without a mark: it is read as a configuration
- `inventory`, `variables`: the names and types of Ansible variables are checked
- `client.yaml`: the client reads it
- `kind`: it is imported as a module with kinds of job
- `result`: the members of a result file are checked
- `console`: its calls of `edge` are checked, as in each block of shell
- each other mark has a separate test, which `ELSEWHERE` names
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from edge.cli.main import cli
from edge.client.settings import Settings
from edge.config import load
from edge.model import Result
from edge.power.inputs.battery import CELLS, _percent
from tests.docs.pages import TOP, Block, all_blocks, blocks
from tests.docs.reference.variables import specs

BLOCKS = all_blocks()
#: Marks with a test in another file: mark -> file of the test.
ELSEWHERE = {
    "shell": "tests/integration/test_docs.py",
    "program": "tests/integration/test_docs.py",
    "output": "tests/integration/test_docs.py",
    "wordcount.py": "tests/integration/test_docs.py",
    "linecount.py": "tests/integration/test_docs.py",
    "files": "tests/integration/test_spawn_files.py",
    "kinds": "tests/integration/test_after.py",
    "batch": "tests/integration/test_after.py",
    "commands": "tests/integration/test_schedules.py",
    "apply": "tests/integration/test_schedules.py",
    "schedules.py": "tests/integration/test_schedules.py",
    "schedules.yaml": "tests/integration/test_schedules.py",
    "events.py": "tests/integration/test_events.py",
    "prometheus.yml": "tests/integration/test_dashboard.py",
    "rules.yml": "tests/integration/test_dashboard.py",
    "kinds.py": "tests/integration/test_up_workers.py",
    "shrink-clips": "tests/unit/docs/test_nightly.py",
    "clips.sh": "tests/integration/test_commands_up.py",
    "clips.yaml": "tests/integration/test_commands_up.py",
    "brook.py": "tests/unit/power/test_source_docs.py",
    "brook.yaml": "tests/unit/power/test_source_docs.py",
    "scaling.py": "tests/unit/scale/test_docs.py",
}
HERE = {"edge.yaml", "inventory", "variables", "client.yaml", "kind", "result", "pyproject.toml"}
_SHELLS = {"sh", "bash", "console"}  # in `console` a command begins with the prompt `$ `


def marked(*marks: str) -> list[Block]:
    return [block for block in BLOCKS if block.mark in marks]


def test_there_is_no_example_that_nobody_runs() -> None:
    """Each block has a mark listed above, is YAML that is read as a configuration, or says what it needs."""
    idle = [
        str(block)
        for block in BLOCKS
        if block.language not in {"text", "yaml", "console"}
        and not block.needs
        and block.mark not in HERE | ELSEWHERE.keys()
    ]
    assert idle == [], "give each a mark (see the top of this file), or a line `*Needs ...:*` above it"


def test_the_tests_elsewhere_name_the_page_or_the_mark() -> None:
    """Each test file in `ELSEWHERE` mentions the mark or its page; otherwise a removed test would go unnoticed."""
    for mark, test in ELSEWHERE.items():
        assert marked(mark), mark
        text = (TOP / test).read_text()
        assert mark in text or any(block.page.name in text for block in marked(mark)), (mark, test)


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "yaml" and not b.needs and b.mark in {"", "edge.yaml"}],
    ids=str,
)
def test_the_configuration_can_be_used(block: Block, tmp_path: Path) -> None:
    """`load` accepts the block, as `edge config check` does."""
    path = tmp_path / "edge.yaml"
    path.write_text(block.text)
    for name in re.findall(r"(?:password_file|token_file): ([\w.]+)", block.text):
        (tmp_path / name).write_text("secret")
    load(path, env={})


def _variables() -> dict[str, Any]:
    return {name: option for spec in specs().values() for name, option in spec["options"].items()}


def _check_variables(given: dict[str, Any], tmp_path: Path) -> None:
    known = _variables()
    kinds: dict[str, type] = {"dict": dict, "list": list, "str": str, "path": str, "bool": bool, "int": int}
    for name, value in given.items():
        if name.startswith("ansible_"):
            continue
        assert name in known, f"no role has a variable {name}"
        assert isinstance(value, kinds[known[name]["type"]]), (name, value)
    if config := given.get("edge_config"):
        path = tmp_path / "edge.yaml"
        path.write_text(yaml.safe_dump(config))
        load(path, env={})


@pytest.mark.parametrize("block", marked("variables"), ids=str)
def test_the_variables_are_those_of_the_roles(block: Block, tmp_path: Path) -> None:
    _check_variables(yaml.safe_load(block.text), tmp_path)


@pytest.mark.parametrize("block", marked("inventory"), ids=str)
def test_the_inventory_has_groups_and_variables_that_are_known(block: Block, tmp_path: Path) -> None:
    tree = yaml.safe_load(block.text)["all"]
    _check_variables(tree.get("vars", {}), tmp_path)
    for group, content in tree["children"].items():
        assert group in {"head", "nodes"}
        for variables in content["hosts"].values():
            _check_variables(variables, tmp_path)


@pytest.mark.parametrize("block", marked("client.yaml"), ids=str)
def test_the_client_reads_its_file(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "client.yaml"
    path.write_text(block.text)
    path.chmod(0o600)
    found = Settings.find(env={"EDGE_CLIENT_CONFIG": str(path)})
    assert (found.url, found.token) == tuple(yaml.safe_load(block.text)[key] for key in ("url", "token"))


@pytest.mark.parametrize("block", marked("kind"), ids=str)
def test_the_module_has_kinds_of_job(block: Block, tmp_path: Path) -> None:
    """The module is imported in a separate process, because a process may have only one module for a kind."""
    (tmp_path / "own.py").write_text(block.text)
    code = "import own; from edge.worker import app; print([n for n, t in app.tasks.items() if t.__module__ == 'own'])"
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{TOP}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() != "[]"


@pytest.mark.parametrize("block", marked("result"), ids=str)
def test_the_result_has_members_of_a_result(block: Block) -> None:
    tree = json.loads(block.text)
    assert tree.keys() == {"sha256", "payload"}
    assert tree["payload"].keys() <= set(Result.__struct_encode_fields__)


@pytest.mark.parametrize("block", marked("pyproject.toml"), ids=str)
def test_the_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


def _commands(block: Block) -> list[list[str]]:
    """Return the calls of `edge` in a block of shell, each as a list of words."""
    found = []
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        call = re.sub(r"^\s*\w+=\$\((edge .*)\)(\s+#.*)?$", r"\1", line.removeprefix("$ "))
        words = shlex.split(call.partition(" >")[0], comments=True)
        while words and ("=" in words[0] or words[0] == "sudo"):
            words.pop(0)
        if words[:1] == ["ssh"]:
            words = words[2:]
        if words and Path(words[0]).name == "edge":
            found.append([re.sub(r"^\$(\w+)$", r"\1", word) for word in words[1:]])
    return found


_CALLS = [
    pytest.param(words, id=f"{block}-{' '.join(words)[:40]}")
    for block in BLOCKS
    if block.language in _SHELLS
    for words in _commands(block)
]


@pytest.mark.parametrize("words", _CALLS)
def test_the_command_has_these_options(words: list[str]) -> None:
    """Click accepts the words of the command, which need not run."""
    command: click.Command = cli
    context = click.Context(cli, info_name="edge")
    while isinstance(command, click.Group):
        with command.make_context(context.info_name, list(words), parent=context.parent) as made:
            rest = [*made._protected_args, *made.args]
        if not rest:
            return
        name, inner, words = command.resolve_command(context, rest)
        assert inner is not None
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    command.make_context(context.info_name, list(words), parent=context.parent)


def test_the_variables_on_command_lines_are_those_of_the_roles() -> None:
    """Each NAME in `edge deploy HOST --var NAME=VALUE` is a variable of a role."""
    known = _variables()
    named = {
        word.partition("=")[0]
        for block in BLOCKS
        if block.language in _SHELLS
        for words in _commands(block)
        for before, word in pairwise(words)
        if before == "--var"
    }
    assert named
    assert named - known.keys() == set()


def test_the_table_of_volts_is_that_of_the_curves() -> None:
    """The table of volts and charge in `docs/how-to/power-set-ups.md` agrees with the code."""
    page = (TOP / "docs/how-to/power-set-ups.md").read_text()
    heading = re.search(r"^\| charge \|(.*)\|$", page, re.MULTILINE)
    assert heading
    charges = [float(cell.strip(" %")) for cell in heading[1].split("|")]
    for chemistry, cell in CELLS.items():
        row = re.search(rf"^\| `{chemistry}` \|(.*)\|$", page, re.MULTILINE)
        assert row
        volts = [float(each.strip(" V")) for each in row[1].split("|")]
        assert [_percent(cell, each) for each in volts] == pytest.approx(charges, abs=3.5)


def test_a_block_knows_its_line_and_its_mark() -> None:
    page = TOP / "docs/how-to/add-a-source.md"
    first = next(iter(blocks(page)))
    assert (first.mark, first.language) == ("brook.py", "python")
    assert page.read_text().splitlines()[first.line - 1] == "```python"
    assert first.text.startswith('"""A water wheel')
