"""What the README shows works as it stands there, on a running stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from edge.config import load
from edge.up.background import Background
from edge.up.broker.ports import accepts, free_ports
from edge.up.settings import settings
from tests.readme import README, blocks

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SHOWN_URL = "http://127.0.0.1:8420"


class Stack:
    """`edge up` with the README's own kind of job beside its edge.yaml."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state"
        port, broker = free_ports(1)[0], broker_port()
        path = settings(self.root, port=port, broker_port=broker, env={}).path
        assert path is not None
        tree = yaml.safe_load(path.read_text()) | {"tasks": ["tasks.solve", "tasks.factorial", "wordcount"]}
        path.write_text(yaml.safe_dump(tree))
        (path.parent / "wordcount.py").write_text(blocks("wordcount.py")[0])
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder / "home"
        self.folder.mkdir()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")} | {
            "EDGE_CONFIG": str(path),
            "EDGE_URL": self.url,
            "HOME": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.up = Background(self.root, folder / "up.log")

    def run(self, *command: str) -> str:
        """What a command of the README prints; it must succeed."""
        done = subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def broker_port() -> int:
    """A port that is free with the two after it."""
    while True:
        (port,) = free_ports(1)
        if port < 65_000 and not any(accepts(port + n) for n in (0, 1, 2)):
            return port


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("readme"))
    yield stack
    stack.up.stop()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, ["50 divided by 2 = 25", "succeeded", "factorial", "solve"]),
        (1, ['"50 divided by 2 = 25"']),
        (2, ["Count how often each word stands", '{"to":2,"be":2}']),
    ],
)
def test_the_shell_examples_run_as_they_stand(stack: Stack, index: int, expected: list[str]) -> None:
    """Pasted into a shell, each block succeeds and prints what the README says."""
    script = blocks("shell")[index].replace(SHOWN_URL, stack.url)
    printed = re.sub(r"\s+", " ", stack.run("sh", "-euc", script))
    for words in expected:
        assert words in printed


def test_there_is_no_example_that_nobody_runs() -> None:
    """A new example must be listed above."""
    assert len(blocks("shell")) == 3
    assert len(blocks("python")) == 2


@pytest.mark.parametrize("index", [0, 1])
def test_the_python_examples_print_the_answer(stack: Stack, index: int) -> None:
    """The client and plain Celery both give the sum."""
    code = blocks("python")[index].replace(SHOWN_URL, stack.url)
    assert "50 divided by 2 = 25" in stack.run(sys.executable, "-c", code)


def test_the_files_of_the_examples_are_there(stack: Stack) -> None:
    """`curl -O` and `--save` left the files in the working folder."""
    stack.run("sh", "-euc", blocks("shell")[1].replace(SHOWN_URL, stack.url))
    assert (stack.folder / "1-response.txt").read_text().strip() == "50 divided by 2 = 25"


def test_the_yaml_of_the_readme_is_valid(tmp_path: Path) -> None:
    """Every yaml block loads as an edge.yaml."""
    found = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert found
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        load(path, env={})
