"""Events of program output, for a reader that asks for them: only new output, in bounded events, for each attempt."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import trees
from edge.core.errors import StorageError
from edge.gateway.background import printed
from edge.gateway.background.printed import TEXT_BYTES, Printed
from edge.gateway.background.readers import View
from edge.model import JobState
from edge.results.kept_output import FILE_BYTES
from edge.results.output import ENDED
from edge.results.stream import Stream
from edge.wire import About


class Listener:
    """Collects the events of one reader."""

    def __init__(self, root: Path, wanted: Callable[[str], bool]) -> None:
        self._came = asyncio.Event()
        self.calls = 0
        self.tail = Printed(root, wanted=wanted, came=self._note)

    def _note(self) -> None:
        self.calls += 1
        self._came.set()

    async def more(self) -> list[dict[str, Any]]:
        """Wait for the next events and return them."""
        await asyncio.wait_for(self._came.wait(), 10)
        self._came.clear()
        blocks = self.tail.take().split(b"\n\n")
        return [json.loads(block.partition(b"data: ")[2])["output"] for block in blocks if block]


@contextmanager
def listening(root: Path, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Listener]:
    listener = Listener(root, wanted)
    with closing(listener.tail):
        yield listener


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(main())


def stream_of(root: Path, job_id: str = "j1", name: str = "stdout") -> Stream:
    return Stream(root / "main" / job_id / name)


def test_what_is_printed_comes_with_its_place(tmp_path: Path) -> None:
    """An event has the text with its offset, its size, and the end of the stream in bytes."""

    async def work() -> None:
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            stream.feed(b"one\n")
            first = await listener.more()
            stream.feed("zw\u00f6lf\n".encode())
            second = await listener.more()
            stream.close()
        assert first == [{"id": "j1", "stream": "stdout", "offset": 0, "text": "one\n", "size_bytes": 4, "end": 4}]
        assert second == [
            {"id": "j1", "stream": "stdout", "offset": 4, "text": "zw\u00f6lf\n", "size_bytes": 7, "end": 11}
        ]

    on_loop(work)


def test_half_a_character_waits_for_its_other_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bytes of a character are sent in the next event, together with its other bytes."""
    monkeypatch.setattr(printed, "EVERY_S", 0.01)

    async def work() -> None:
        euro = "\u20ac".encode()
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            stream.feed(b"1 " + euro[:2])
            (first,) = await listener.more()
            stream.feed(euro[2:])
            (second,) = await listener.more()
            stream.close()
        assert (first["text"], first["size_bytes"], first["end"]) == ("1 ", 2, 4)
        assert (second["offset"], second["text"], second["end"]) == (2, "\u20ac", 5)

    on_loop(work)


def test_what_was_printed_before_is_no_event(tmp_path: Path) -> None:
    """Output from before the reader came makes no event."""

    async def work() -> None:
        stream = stream_of(tmp_path)
        stream.feed(b"before\n")
        with listening(tmp_path) as listener:
            stream.feed(b"after\n")
            (event,) = await listener.more()
            stream.close()
        assert (event["offset"], event["text"]) == (7, "after\n")

    on_loop(work)


def test_an_event_is_bounded_and_says_where_the_rest_is(tmp_path: Path) -> None:
    """An event has a limited size. Its `end` shows where the output goes on, and the next event begins there."""

    async def work() -> None:
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            stream.feed(b"x" * 10_000)
            (event,) = await listener.more()
            stream.feed(b"y")
            (after,) = await listener.more()
            stream.close()
        assert (len(event["text"]), event["size_bytes"], event["end"]) == (TEXT_BYTES, TEXT_BYTES, 10_000)
        assert (after["offset"], after["text"]) == (10_000, "y")

    on_loop(work)


def test_a_reader_that_takes_nothing_costs_one_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a reader that takes nothing one event is kept. The next one comes after it has taken that event."""
    monkeypatch.setattr(printed, "EVERY_S", 0.01)

    async def work() -> None:
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            for _ in range(20):
                stream.feed(b"line\n")
                await asyncio.sleep(0.01)
            assert listener.calls == 1
            found = await listener.more()
            found += await listener.more()
            stream.close()
        assert [event["offset"] for event in found] == [0, found[0]["end"]]
        assert found[1]["end"] == 100

    on_loop(work)


def test_jobs_that_are_not_wanted_are_silent(tmp_path: Path) -> None:
    """The output of jobs that the reader does not want, or may not see, makes no event."""

    async def work() -> None:
        with listening(tmp_path, lambda job_id: job_id == "j2") as listener:
            others, own = stream_of(tmp_path), stream_of(tmp_path, "j2", "stderr")
            others.feed(b"secret")
            own.feed(b"mine")
            found = await listener.more()
            others.close()
            own.close()
        assert [(event["id"], event["stream"]) for event in found] == [("j2", "stderr")]

    on_loop(work)


def test_a_job_that_cannot_be_looked_up_is_looked_up_again(tmp_path: Path) -> None:
    """If the ledger cannot be read, the next read asks again whether the reader may see the job."""
    asked: list[str] = []

    def wanted(job_id: str) -> bool:
        asked.append(job_id)
        if len(asked) == 1:
            raise StorageError("no ledger", OSError(5, "input/output error"))
        return True

    async def work() -> None:
        stream = stream_of(tmp_path)
        stream.feed(b"before, ")
        with listening(tmp_path, wanted) as listener:
            (tmp_path / "main" / "j2").mkdir()
            (event,) = await listener.more()
            stream.close()
        assert event["text"] == "before, "

    on_loop(work)


def test_another_attempt_begins_at_its_first_byte(tmp_path: Path) -> None:
    """The output of a later attempt of the same job is read from its first byte."""

    async def work() -> None:
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            stream.feed(b"first\n")
            await listener.more()
            stream.close()
            (tmp_path / "main" / "j1" / ENDED).touch()
            trees.remove(tmp_path / "main" / "j1")
            stream = stream_of(tmp_path)
            stream.feed(b"second attempt\n")
            (event,) = await listener.more()
            stream.close()
        assert (event["offset"], event["text"]) == (0, "second attempt\n")

    on_loop(work)


def test_what_is_cut_before_it_is_read_is_passed_over(tmp_path: Path) -> None:
    """Output that was removed before it was read is left out; the event begins behind it."""

    async def work() -> None:
        with listening(tmp_path) as listener:
            stream = stream_of(tmp_path)
            stream.feed(b"begin")
            await listener.more()
            stream.feed(b"-" * (8 * FILE_BYTES))
            (event,) = await listener.more()
            stream.close()
        assert event["end"] == 5 + 8 * FILE_BYTES
        assert event["offset"] + event["size_bytes"] <= event["end"]

    on_loop(work)


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet="a\u00e9\u20ac\U0001f600", min_size=1, max_size=3000))
def test_no_event_ends_within_a_character(text: str) -> None:
    """An event ends at the end of a character. Its text is a prefix of the output, and its size counts the bytes."""

    async def work() -> None:
        with tempfile.TemporaryDirectory() as folder, listening(Path(folder)) as listener:
            stream = stream_of(Path(folder))
            stream.feed(text.encode())
            (event,) = await listener.more()
            stream.close()
        assert text.startswith(event["text"])
        assert event["size_bytes"] == len(event["text"].encode()) > 0

    on_loop(work)


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        (View(frozenset({About.OUTPUT})), True),
        (View(frozenset({About.OUTPUT}), jobs=frozenset({"j2"})), False),
        (View(frozenset({About.OUTPUT}), kinds=frozenset({"say"})), True),
        (View(frozenset({About.OUTPUT}), kinds=frozenset({"other"})), False),
        (View(frozenset({About.OUTPUT}), states=frozenset({JobState.FAILED})), False),
        (View(frozenset({About.OUTPUT}), submitter="somebody"), False),
        (View(frozenset({About.OUTPUT}), submitter="me"), True),
    ],
)
def test_filters_and_scopes_hold_for_output(view: View, *, shown: bool) -> None:
    """The filters for jobs, kinds, states and submitter also apply to output."""
    assert view.shows_output("j1", "say", "me") is shown
