"""The output of programs on nodes is kept for readers, in bounds, and removed in time."""

from __future__ import annotations

from pathlib import Path

from edge.gateway.node_output import MOST_JOBS, READ_S, UNREAD_S, NodeOutput
from edge.results.kept_output import FILE_BYTES, TAIL_FILES
from edge.results.output import OutputFiles, Run


def take(kept: NodeOutput, data: bytes, *, job: str = "aa1", attempt: str = "00000001", offset: int = 0) -> float:
    return kept.take("roof", job, data, attempt=attempt, stream="stdout", offset=offset)


def read(root: Path, offset: int = 0, *, job: str = "aa1") -> Run | None:
    return OutputFiles(root, job).read("stdout", offset)


def test_pieces_are_put_together_and_repeated_ones_change_nothing(tmp_path: Path) -> None:
    """A node that got no answer sends a piece again, perhaps with more behind it."""
    kept = NodeOutput(tmp_path)
    take(kept, b"one ")
    take(kept, b"one two ")
    take(kept, b"two three", offset=4)
    assert read(tmp_path) == Run(0, b"one two three")


def test_missing_bytes_are_a_cut(tmp_path: Path) -> None:
    """A program that prints faster than the node sends leaves a gap, which readers see."""
    kept = NodeOutput(tmp_path)
    take(kept, b"begin")
    take(kept, b"end", offset=1000)
    assert read(tmp_path) == Run(0, b"begin", next=1000)
    assert read(tmp_path, 5) == Run(1000, b"end")


def test_another_attempt_begins_anew(tmp_path: Path) -> None:
    kept = NodeOutput(tmp_path)
    take(kept, b"a long line of the first attempt")
    take(kept, b"again", attempt="00000002")
    assert read(tmp_path) == Run(0, b"again")


def test_the_kept_bytes_and_jobs_are_limited(tmp_path: Path) -> None:
    """Neither a program that prints forever nor many jobs fill the memory."""
    kept = NodeOutput(tmp_path)
    piece = bytes(FILE_BYTES)
    for number in range(10):
        take(kept, piece, offset=number * len(piece))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) == (1 + TAIL_FILES) * FILE_BYTES
    for number in range(MOST_JOBS):
        take(kept, b"x", job=f"bb{number}")
    assert sorted(path.name for path in (tmp_path / "roof").iterdir()) == sorted(f"bb{n}" for n in range(MOST_JOBS))


def test_the_output_of_an_ended_attempt_is_removed(tmp_path: Path) -> None:
    kept = NodeOutput(tmp_path)
    take(kept, b"x")
    kept.drop("other")
    assert read(tmp_path) is not None
    kept.drop("aa1")
    kept.drop("aa1")
    assert read(tmp_path) is None


def test_a_new_gateway_begins_without_output(tmp_path: Path) -> None:
    """The nodes continue at their offsets, and the old files would look like output that was not cut."""
    take(NodeOutput(tmp_path / "out"), b"old")
    kept = NodeOutput(tmp_path / "out")
    kept.start()
    take(kept, b"new", offset=100)
    assert read(tmp_path / "out") == Run(100, b"new")


def test_a_node_sends_more_often_while_somebody_reads(tmp_path: Path) -> None:
    kept = NodeOutput(tmp_path)
    assert take(kept, b"x") == UNREAD_S
    with kept.followed("aa1"):
        assert take(kept, b"x") == READ_S
        assert take(kept, b"x", job="bb1") == UNREAD_S
    with kept.followed(), kept.followed():
        assert take(kept, b"x", job="bb1") == READ_S
    assert take(kept, b"x") == UNREAD_S
