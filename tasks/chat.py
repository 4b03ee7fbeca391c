"""The task `chat`: a conversation with ChatterBot, which remembers earlier messages."""

from __future__ import annotations

import functools
import json
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import yaml
from msgspec import Meta

from edge.worker import Job, task

_SHIPPED = Path(__file__).parent / "corpora"
_DEFAULT_CORPORA = ("greetings.yml", "board.yml")
_PUZZLED = "I do not know what to say to that."


class BadCorpus(ValueError):
    """A corpus file that cannot be read or does not have the expected structure."""


@task
def chat(
    message: Annotated[str, Meta(min_length=1, max_length=1000)],
    job: Job,
    conversation: Annotated[str, Meta(min_length=1, max_length=100)] = "default",
) -> str:
    """Say something to the board's chat bot and get its answer.

    The answer depends on earlier messages of the same `conversation`. The bot learns from YAML corpora named in the
    configuration (`settings: {chat: {corpora: [FILE, ...], name: NAME, learn: true}}`) and keeps its memory in a
    database on the board.
    """
    bot = _bot(
        str(job.folder),
        str(job.settings.get("name", "Edge")),
        bool(job.settings.get("learn", True)),
        tuple(str(name) for name in job.settings.get("corpora", _DEFAULT_CORPORA)),
    )
    job.check()
    return str(bot.get_response(message, conversation=f"lan:{conversation}").text)


@functools.lru_cache(maxsize=1)
def _bot(folder: str, name: str, learn: bool, corpora: tuple[str, ...]) -> Any:
    """Return the bot. It is made at the first message and kept, because a start takes a second and 100 MB."""
    from chatterbot import ChatBot  # imports spaCy, so only a worker with a job of kind `chat` loads it
    from chatterbot.tagging import LowercaseTagger  # needs no language model, unlike the default

    paths = [_corpus_path(name) for name in corpora]
    for path in paths:
        _check_corpus(path)
    bot = ChatBot(
        name,
        storage_adapter="chatterbot.storage.SQLStorageAdapter",
        database_uri=f"sqlite:///{folder}/memory.sqlite3",
        tagger=LowercaseTagger,
        logic_adapters=[{"import_path": "chatterbot.logic.BestMatch", "default_response": [_PUZZLED]}],
        read_only=not learn,
    )
    _train(bot, paths, Path(folder) / "trained.json")
    return bot


def _train(bot: Any, paths: list[Path], mark: Path) -> None:
    """Train the bot with its corpora, if their content has changed since the last training."""
    digest = {str(path): sha256(path.read_bytes()).hexdigest() for path in paths}
    try:
        if json.loads(mark.read_text()) == digest:
            return
    except (OSError, ValueError):
        pass
    from chatterbot.trainers import ChatterBotCorpusTrainer  # as in _bot

    model = bot.storage.get_model("statement")
    session = bot.storage.Session()
    try:
        for statement in session.query(model).filter_by(conversation="training"):
            session.delete(statement)  # from an earlier corpus, or from a training that a power cut interrupted
        session.commit()
    finally:
        session.close()
    if paths:
        ChatterBotCorpusTrainer(bot, show_training_progress=False).train(*(str(path) for path in paths))
    mark.write_text(json.dumps(digest))


def _corpus_path(name: str) -> Path:
    """Return the path of a corpus file: `name` is an absolute path, or the name of a file of the appliance."""
    path = Path(name) if "/" in name else _SHIPPED / name
    if not path.is_absolute() or not path.is_file():
        known = ", ".join(sorted(path.name for path in _SHIPPED.glob("*.yml")))
        raise BadCorpus(f"settings.chat.corpora: {name!r} is neither the absolute path of a file nor one of {known}")
    return path


def _check_corpus(path: Path) -> None:
    """Raise BadCorpus if ChatterBot would fail in the middle of a training with this file."""
    try:
        corpus = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise BadCorpus(f"corpus {path}: {' '.join(str(err).split())}") from err
    talks = corpus.get("conversations") if isinstance(corpus, dict) else None
    if not isinstance(talks, list) or not all(
        isinstance(talk, list) and talk and all(isinstance(line, str) and line for line in talk) for talk in talks
    ):
        raise BadCorpus(f"corpus {path}: expected `conversations`, a list of lists of sentences")
