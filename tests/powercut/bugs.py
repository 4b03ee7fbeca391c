"""Faults of the kind that power cuts find, to be put into a board on purpose: a rig that misses them proves nothing.

Each is patched into the product's modules as they are imported, by `inject/sitecustomize.py` in the processes of
the board alone; the product has no code for it.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import stat
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

EATMYDATA = "libeatmydata.so"


class Bug(msgspec.Struct, frozen=True):
    """What is broken, in words, and how: `patch` gets `module` right after its import."""

    about: str
    module: str
    patch: Callable[[Any], None]
    own_birth: bool = False  # the board must be born with it: it changes how queues are declared
    marathon: int = 0  # steps of a long job that is needed to see it


def _skip_fsync(kind: Callable[[int], bool]) -> Callable[[Any], None]:
    def patch(_durable: Any) -> None:
        real = os.fsync

        def fsync(fd: Any) -> None:
            number = fd if isinstance(fd, int) else fd.fileno()
            if not kind(os.fstat(number).st_mode):
                real(number)

        os.fsync = fsync

    return patch


def _ack_first(intake: Any) -> None:
    begin, settle = intake.Intake._begin, intake.Settlement._settle

    def acked_first(self: Any, attempt: Any) -> Any:
        message = attempt.delivery.message
        if not hasattr(message, "acked_first"):
            self._settlement._channel.basic_ack(message.delivery_tag)
            message.acked_first = True
        return begin(self, attempt)

    def settle_the_rest(self: Any, deliveries: Any, tell: Any) -> None:
        rest = []
        for delivery in deliveries:
            if hasattr(delivery.message, "acked_first"):
                self._open.pop(delivery.message.delivery_tag, None)
            else:
                rest.append(delivery)
        settle(self, rest, tell)

    intake.Intake._begin = acked_first
    intake.Settlement._settle = settle_the_rest


def _replace_not_link(durable: Any) -> None:
    def replace(source: Any, path: Any) -> bool:
        twin = f"{path}.twin"
        os.link(source, twin)
        Path(twin).replace(path)
        return True

    durable.link = replace


def _no_confirm(session: Any) -> None:
    publish = session.PublishSession.publish

    def unconfirmed(self: Any, job: Any) -> None:
        publish(self, job)
        self._done.append(job)

    def on_ack(self: Any, tag: int, multiple: bool) -> None:
        for each in [t for t in self._flying if t <= tag] if multiple else [tag]:
            job, _ = self._flying.pop(each)
            self._flying_editions.discard(job.edition)

    patience = session.PublishSession.patience

    def impatient(self: Any) -> Any:
        return 0.0 if self._done else patience(self)  # or the thread would sleep until the confirm wakes it

    session.PublishSession.publish = unconfirmed
    session.PublishSession._on_ack = on_ack
    session.PublishSession.patience = impatient


def _delivery_limit(broker: Any) -> None:
    broker._QUORUM["x-delivery-limit"] = 20
    for queue in (*broker.QUEUES.values(), broker.DEAD):
        queue.queue_arguments["x-delivery-limit"] = 20


def _accept_before_commit(ledger: Any) -> None:
    transaction = ledger.LedgerWriter.transaction
    ledger.LedgerWriter.transaction = lambda self, *, durable: transaction(self, durable=False)


def _eat_my_data(rabbitmq: Any) -> None:
    environment = rabbitmq.environment
    rabbitmq.environment = lambda *args: environment(*args) | {"LD_PRELOAD": EATMYDATA}


BUGS: dict[str, Bug] = {
    "no-file-fsync": Bug("files are published without an fsync", "edge.core.durable", _skip_fsync(stat.S_ISREG)),
    "no-folder-fsync": Bug(
        "names are published without an fsync of the folder", "edge.core.durable", _skip_fsync(stat.S_ISDIR)
    ),
    "ack-first": Bug(
        "a message is acknowledged before its result is published", "edge.worker.intake.intake", _ack_first
    ),
    "replace": Bug("a result replaces the one that is there", "edge.core.durable", _replace_not_link),
    "no-confirm": Bug("a publish counts before the broker confirms it", "edge.broker.session", _no_confirm),
    "delivery-limit": Bug(
        "queues give up after 20 deliveries", "edge.broker.topology", _delivery_limit, own_birth=True, marathon=10_000
    ),
    "early-accept": Bug("202 is answered before the commit is durable", "edge.ledger.writer", _accept_before_commit),
    "eatmydata": Bug("the broker's fsync does nothing", "edge.up.broker.rabbitmq", _eat_my_data),
}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module as usual, and patches it once it is loaded."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._bug.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        loader = spec.loader
        assert loader is not None
        load = loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            self._bug.patch(module)

        loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


def install(name: str) -> None:
    """Put the bug into this process, as soon as the module it lives in is imported."""
    sys.meta_path.insert(0, _Finder(BUGS[name]))
