"""A body hands on files that the board stores, and gets a sentence for all others."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.config import CommandConfig
from edge.config.commands import InputConfig
from edge.core.errors import BadArguments, UsageError
from edge.model import InputFile
from edge.results.inputs import Inputs
from edge.worker import Job, task
from edge.worker.api.handed import Handed

OWN = InputFile(sha256(b"own").hexdigest(), "clip.mov", 3)
OTHER = sha256(b"other!").hexdigest()
UNKNOWN = "0" * 64
PLAIN: Any = SimpleNamespace(name="linecount", edge_command=None)
COMMAND: Any = SimpleNamespace(
    name="transcode",
    edge_command=CommandConfig(
        name="transcode", run=("cp", "{input}", "out"), inputs={"input": InputConfig(max_bytes=5)}
    ),
)


@task(name="handed_takes_files")
def takes(files: list[str]) -> int:
    """Take an argument with the name of the option."""
    return len(files)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / OWN.sha256).write_bytes(b"own")
    (tmp_path / "files" / OTHER).write_bytes(b"other!")
    return Inputs(tmp_path / "files")


@pytest.fixture
def handed(inputs: Inputs) -> Handed:
    return Handed({"clip": OWN}, inputs=inputs, stored=inputs.size)


def test_an_input_of_the_job_keeps_its_name_and_size(handed: Handed, inputs: Inputs) -> None:
    """It may be given by its path, by its hash, or as the record."""
    for given in (inputs.path(OWN.sha256), OWN.sha256, InputFile(OWN.sha256)):
        assert handed.files(PLAIN, {"text": given}) == {"text": OWN}


def test_another_stored_file_is_given_by_its_hash(handed: Handed) -> None:
    assert handed.files(PLAIN, {"text": OTHER}) == {"text": InputFile(OTHER, bytes=6)}


def test_a_node_leaves_it_to_the_head_which_files_there_are(inputs: Inputs) -> None:
    handed = Handed({"clip": OWN}, inputs=inputs)
    assert handed.files(PLAIN, {"a": OWN.sha256, "b": UNKNOWN}) == {"a": OWN, "b": InputFile(UNKNOWN)}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([OTHER], "expected a dict of input names and files"),
        ({"text": UNKNOWN}, "the board stores no such file"),
        ({"text": "clip.mov"}, "expected job.input(NAME), or the SHA-256"),
        ({"text": 7}, "expected job.input(NAME), or the SHA-256"),
        ({"text": Path("/etc/passwd")}, "Client.upload of edge.client"),
        ({"text": Path("/elsewhere") / OTHER}, "Client.upload of edge.client"),
        ({"no name": OTHER}, "spawn: files: Expected str matching"),
        ({7: OTHER}, "spawn: files: Expected str"),
        ({f"n{number}": OTHER for number in range(17)}, "spawn: files: Expected object of length <= 16"),
    ],
)
def test_any_other_file_gets_one_sentence(handed: Handed, wanted: object, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        handed.files(PLAIN, wanted)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({}, "input 'input' is missing"),
        ({"input": OTHER}, "input 'input' has 6 bytes; at most 5 are taken"),
        ({"input": OWN.sha256, "more": OWN.sha256}, "unknown input 'more'"),
    ],
)
def test_a_command_takes_its_own_inputs_only(handed: Handed, wanted: object, says: str) -> None:
    """The check is that of a submission, at the call."""
    assert handed.files(COMMAND, {"input": OWN.sha256}) == {"input": OWN}
    with pytest.raises(BadArguments, match=says):
        handed.files(COMMAND, wanted)


def test_a_body_without_a_worker_can_hand_files_on(tmp_path: Path) -> None:
    """`Job.local` writes the call with the path; an argument named `files` stays an argument."""
    job = Job.local(tmp_path, inputs={"clip": tmp_path / "clip.mov"})
    job.spawn("transcode", files={"input": job.input("clip")}, delay_s=5)
    job.spawn(takes, files=["a"])
    first, second = (json.loads(line)["kwargs"] for line in (tmp_path / "spawned.jsonl").read_text().splitlines())
    assert first == {"files": {"input": str(tmp_path / "clip.mov")}, "delay_s": 5}
    assert second == {"files": ["a"]}
