"""The examples of the pages work unchanged on a running stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from edge.up.background import Background
from edge.up.broker.ports import accepts, free_ports
from edge.up.settings import settings
from tests.docs.pages import TOP, Block, all_pages, blocks, marked

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SHOWN_URL = "http://127.0.0.1:8420"
#: Kinds of job next to edge.yaml: module -> (page, mark) of its code.
KINDS = {
    "wordcount": ("docs/how-to/add-a-kind.md", "wordcount.py"),
    "linecount": ("docs/how-to/files.md", "linecount.py"),
}
#: Pages with separate tests for their blocks.
ELSEWHERE = {"docs/how-to/waiting.md"}  # tests/integration/test_after.py
RUN = {"shell", "program"}


class Stack:
    """An `edge up` with the kinds of job of the pages, and simulated power."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state"
        port, broker = free_ports(1)[0], broker_port()
        path = settings(self.root, port=port, broker_port=broker, env={}).path
        assert path is not None
        tree = yaml.safe_load(path.read_text())
        tree["tasks"] = ["tasks.solve", "tasks.factorial", *KINDS]
        tree["power"] |= {
            "sources": [{"kind": "simulated", "start": "surplus"}],
            "sampling": {"sample_s": 0.5, "fast_s": 0.2},
            "policy": {"low_samples": 1, "good_samples": 1, "resume_after_s": 0},
        }
        path.write_text(yaml.safe_dump(tree))
        for module, (page, mark) in KINDS.items():
            (path.parent / f"{module}.py").write_text(marked(page, mark)[0])
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder / "home"
        self.folder.mkdir()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")} | {
            "EDGE_CONFIG": str(path),
            "EDGE_URL": self.url,
            "HOME": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{path.parent}:{TOP}",
        }
        self.up = Background(self.root, folder / "up.log")

    def run(self, page: Path, index: int, script: str) -> str:
        """Run the script of blocks of a page, which must succeed, and return its output."""
        folder = self.folder / f"{page.stem}-{index}"
        folder.mkdir()
        done = subprocess.run(
            ["bash", "-euc", script.replace(SHOWN_URL, self.url)],
            env=self.env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def broker_port() -> int:
    """Find a free port with the two ports after it free as well."""
    while True:
        (port,) = free_ports(1)
        if port < 65_000 and not any(accepts(port + n) for n in (0, 1, 2)):
            return port


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("docs"))
    yield stack
    stack.up.stop()


def _script(block: Block) -> str:
    if block.mark == "program":
        return f"python - <<'END OF PROGRAM'\n{block.text}END OF PROGRAM\n"
    return block.text


def runnable(page: Path) -> list[Block]:
    """Return the blocks of a page that run one after another in one shell, and the shown output."""
    return [block for block in blocks(page) if block.mark in RUN | {"output"}]


PAGES = [
    page
    for page in all_pages()
    if str(page.relative_to(TOP)) not in ELSEWHERE and any(block.mark in RUN for block in runnable(page))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_the_page_run_as_they_stand(stack: Stack, page: Path) -> None:
    """Run one after another in a shell, the blocks succeed and print the output that the page shows."""
    found = runnable(page)
    printed = stack.run(page, 0, "".join(_script(block) for block in found if block.mark in RUN))
    flat = re.sub(r"\s+", " ", printed)
    for block in found:
        if block.mark == "output":
            for line in block.text.splitlines():
                words = r".*?".join(re.escape(re.sub(r"\s+", " ", part)) for part in line.split("…"))
                assert re.search(words, flat), f"{block}: {line!r} is not in {printed}"
