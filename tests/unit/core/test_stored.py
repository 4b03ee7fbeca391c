"""Whatever a file of ours holds, its reader gets one error, and each part of `edge` reads such files in this way."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access.pairing import read as read_requests
from edge.access.tokens import BadTokenFile, Tokens
from edge.core import stored
from edge.core.errors import TornResult, UsageError
from edge.core.layout import Layout
from edge.model import KnownQueues
from edge.power import status as power
from edge.power.governor import history
from edge.results.attempts import AttemptsStore
from edge.results.orders import Orders
from edge.results.store import Results
from edge.results.uploads import Uploads
from edge.worker.api.checkpoint import Checkpoint

DEEP = b'{"a":' + b"[" * 200_000
EDGE = Path(stored.__file__).parents[1]


class Record(msgspec.Struct):
    name: str
    more: object = None


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_record_is_read(tmp_path: Path) -> None:
    assert stored.read(write(tmp_path / "r.json", b'{"name": "x"}'), Record).name == "x"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Input data was truncated"),
        (b'{"name": "x"', "Input data was truncated"),
        (b"\0\0\0", "JSON is malformed"),
        (b'{"name": "\xff"}', "utf-8"),
        (b'{"name": 7}', "Expected `str`, got `int`"),
        (b"[]", "Expected `object`"),
        (b'{"name": "x", "more": ' + b"[" * 200_000, "it is nested too deeply"),
        (b'{"name": "x", "unknown": ' + b"[" * 200_000, "it is nested too deeply"),
    ],
)
def test_any_bad_content_is_one_error(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(stored.BadContent) as bad:
        stored.read(write(tmp_path / "r.json", content), Record)
    assert says in str(bad.value)
    assert "\n" not in str(bad.value)


@given(content=st.binary(max_size=50))
def test_no_content_raises_another_error(content: bytes) -> None:
    with suppress(stored.BadContent):
        stored.decoded(content, Record)


def test_an_error_of_the_disk_stays_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stored.read(tmp_path / "none.json", Record)


#: Readers of files at a path of their own. Each of them returns a value that stands for no file.
TOLERANT: list[Callable[[Path], object]] = [
    lambda folder: KnownQueues.read(write(folder / "q.json", DEEP)) == KnownQueues(),
    lambda folder: power.read(write(folder / "power.json", DEEP)).code == "unreadable",
    lambda folder: Checkpoint(write(folder / "c.json", DEEP)).read() is None,
    lambda folder: AttemptsStore(_laid(folder, "attempts/aa1.json")).read("aa1") is None,
    lambda folder: Orders(_laid(folder, "run/orders/aa1.fail")).failure("aa1") is None,
]


def _laid(folder: Path, name: str) -> Layout:
    """Write the deep file, and return the layout in which it lies."""
    root = folder / "root"
    write(folder / name if name.startswith("run/") else root / name, DEEP)
    return Layout(root, folder / "run")


@pytest.mark.parametrize("reads", TOLERANT, ids=range(len(TOLERANT)))
def test_a_deeply_nested_file_is_as_good_as_none(tmp_path: Path, reads: Callable[[Path], object]) -> None:
    assert reads(tmp_path)


def test_a_deeply_nested_file_that_matters_gets_one_line(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(BadTokenFile, match=r"tokens\.json: it is nested too deeply"):
        Tokens(write(tmp_path / "tokens.json", DEEP)).list()
    with pytest.raises(UsageError, match=r"requests\.json: not a list of pairing requests: it is nested"):
        read_requests(write(tmp_path / "requests.json", DEEP))
    with pytest.raises(UsageError, match=r"day\.jsonl:1: not a sample: it is nested"):
        list(history.read(write(tmp_path / "day.jsonl", DEEP + b"\n")))
    layout = Layout(tmp_path / "root", tmp_path / "run")
    write(layout.uploads / "aa1.00000001.json", DEEP)
    with pytest.raises(TornResult, match="it is nested too deeply"):
        Uploads(layout).publish("aa1", Results(layout))


def test_every_part_reads_its_files_in_this_way() -> None:
    """A decoder that gets the content of a file directly has its own list of exceptions, and one is missing soon."""
    direct = re.compile(r"(?:json\.decode|json\.loads|_decode\w*)\([^\n]*(?:read_bytes|read_text)\(")
    found = [path.name for path in EDGE.rglob("*.py") if path.name != "stored.py" and direct.search(path.read_text())]
    assert found == []
