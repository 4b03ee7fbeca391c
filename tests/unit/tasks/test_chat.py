"""Conversation with ChatterBot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatterbot import ChatBot

from edge.worker import Job
from tasks import chat
from tasks import chat as chat_task
from tasks.chat import BadCorpus, _bot

CORPUS = "categories: [test]\nconversations:\n- - What colour is the box?\n  - The box is {colour}.\n"


@pytest.fixture(autouse=True)
def _fresh_bot() -> Iterator[None]:
    """Remove the bot of another test, and close the database of this one."""
    bots: list[Any] = []

    def kept(*args: Any, **kwargs: Any) -> Any:
        bots.append(ChatBot(*args, **kwargs))
        return bots[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatterbot.ChatBot", kept)
        yield
    _bot.cache_clear()
    for bot in bots:
        bot.storage.close()


def test_the_bot_answers_from_what_it_was_taught(tmp_path: Path) -> None:
    """It knows the shipped corpora. An unknown word gets a fixed answer, not a random one."""
    job = Job.local(tmp_path)
    assert chat("Hello", job) == "Hello, this is a small board that works when the sun shines."
    assert chat("What can you do", job).startswith("I run jobs")
    assert chat("xyzzy", job) == "I do not know what to say to that."
    assert (job.folder / "memory.sqlite3").is_file()


def test_the_bot_stays_warm_and_is_taught_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next job uses the same bot. A changed corpus trains it again and replaces the old one."""
    corpus = tmp_path / "box.yml"
    corpus.write_text(CORPUS.format(colour="red"))
    settings = {"corpora": [str(corpus)], "learn": False}
    assert chat("What colour is the box?", Job.local(tmp_path, settings=settings)) == "The box is red."
    assert chat("What colour is the box?", Job.local(tmp_path, settings=settings)) == "The box is red."
    assert _bot.cache_info().misses == 1
    _bot.cache_clear()
    monkeypatch.setattr("chatterbot.trainers.ChatterBotCorpusTrainer.train", lambda *_: pytest.fail("taught again"))
    chat("Hello", Job.local(tmp_path, settings=settings))
    monkeypatch.undo()
    _bot.cache_clear()
    corpus.write_text(CORPUS.format(colour="blue"))
    assert chat("What colour is the box?", Job.local(tmp_path, settings=settings)) == "The box is blue."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "neither the absolute path of a file"),
        ("{", "corpus"),
        ("just text", "expected `conversations`"),
        ("conversations:\n- Hello\n", "expected `conversations`"),
        ("conversations:\n- - 1\n  - 2\n", "expected `conversations`"),
    ],
)
def test_a_bad_corpus_is_one_sentence(tmp_path: Path, content: str | None, words: str) -> None:
    """The sentence names the file, and the bot is not trained."""
    corpus = tmp_path / "bad.yml"
    if content is not None:
        corpus.write_text(content)
    with pytest.raises(BadCorpus, match=words) as err:
        chat("Hello", Job.local(tmp_path, settings={"corpora": [str(corpus)]}))
    assert "\n" not in str(err.value)


def test_it_is_exported() -> None:
    """`from tasks import chat` works."""
    assert chat_task is chat
