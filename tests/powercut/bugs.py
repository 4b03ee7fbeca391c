"""Holds seeded bugs of the kind that power cuts find; a rig that misses them would prove nothing.

`inject/sitecustomize.py` patches a bug into the product's modules at their import, in the processes of the board
only. The product has no code for it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.powercut.patching import patch_on_import

EATMYDATA = "libeatmydata.so"


class Bug(msgspec.Struct, frozen=True):
    """One seeded bug: `about` says what is broken; `patch` is called with `module` right after its import."""

    about: str
    module: str
    patch: Callable[[Any], None]
    own_birth: bool = False  # the board must be set up with the bug, because it changes how queues are declared
    marathon: int = 0  # number of steps of the long job that is needed to see the bug
    files: bool = False  # the bug shows only while files are uploaded


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


def _not_handed_over(ordered: Any) -> None:
    ordered.write_out = lambda _paths: time.sleep(_SLOW_S)


def _replace_not_link(durable: Any) -> None:
    def replace(source: Any, path: Any) -> bool:
        twin = f"{path}.twin"
        os.link(source, twin)
        Path(twin).replace(path)
        return True

    durable.link = replace


def _no_confirm(session: Any) -> None:
    publish = session.PublishSession.publish

    def unconfirmed(self: Any, jobs: Any) -> None:
        jobs = list(jobs)
        publish(self, jobs)
        self._done.extend(jobs)

    def on_ack(self: Any, tag: int, multiple: bool) -> None:
        for each in [t for t in self._unconfirmed if t <= tag] if multiple else [tag]:
            job, _ = self._unconfirmed.pop(each)
            self._unconfirmed_keys.discard(job.message_key)

    patience = session.PublishSession.patience

    def impatient(self: Any) -> Any:
        return 0.0 if self._done else patience(self)  # otherwise the thread would sleep until the confirm wakes it

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


def _ack_before_names(intake: Any) -> None:
    from edge.results.commit import Group

    sync_content, commit = Group._sync_content, intake.Intake._commit
    acknowledge: list[Callable[[], None]] = []

    def acked_then_linked(self: Any, way: Any, members: Any) -> None:
        sync_content(self, way, members)
        for call in acknowledge:
            call()
            time.sleep(_SLOW_S)

    def committed(self: Any, *, may_wait: bool = False) -> None:
        ended = [attempt.delivery for attempt in self._flow.batch._members]
        acknowledge.append(lambda: self._settlement.acknowledge(ended))
        try:
            commit(self, may_wait=may_wait)
        finally:
            acknowledge.clear()

    Group._sync_content = acked_then_linked  # type: ignore[method-assign]
    intake.Intake._commit = committed


def _link_first(commit: Any) -> None:
    def linked_first(self: Any, members: Any, removed: frozenset[str] = frozenset()) -> Any:
        linked = [commit._link(member, removed) for member in members]
        time.sleep(_SLOW_S)
        way = self._choice.way(self._identity[0], len(members))
        self._sync_content(way, members)
        self._sync_names(way, members)
        return [commit._announced(member, ours) for member, ours in zip(members, linked, strict=True)]

    commit.Group.commit = linked_first


def _announce_first(commit: Any) -> None:
    def announced_first(self: Any, members: Any, removed: frozenset[str] = frozenset()) -> Any:
        way = self._choice.way(self._identity[0], len(members))
        self._sync_content(way, members)
        outcomes = [commit._announced(member, commit._link(member, removed)) for member in members]
        time.sleep(_SLOW_S)
        self._sync_names(way, members)
        return outcomes

    commit.Group.commit = announced_first


def _refused_is_acked(store: Any) -> None:
    store.Results._alone = lambda *_: True


def _keep_the_window(window: Any) -> None:
    window.Window.give_back = lambda *_, **__: None


def _rows_first(settle: Any) -> None:
    from edge.core.watch import On
    from edge.gateway.background import announcements
    from edge.results.store import _payload

    add_folders, read_sized, write = (
        announcements.Announcements._add_folders,
        settle.Results.read_sized,
        settle.Outbox.write,
    )

    def watch_writes(self: Any, watch: Any) -> None:
        add_folders(self, watch)
        watch.add(self._layout.staging, on=On.DELETED | On.WRITTEN)

    def jobs(names: Any) -> Any:
        for name in names:  # `ID.json`, and the worker's temporary file `.ID.json.PID.RANDOM`
            parts = name[1:].rsplit(".", 3) if name.startswith(".") else name.rsplit(".", 1)
            yield parts[0], parts[1]

    def read_private(self: Any, job_id: str) -> Any:
        if (found := read_sized(self, job_id)) is not None:
            return found
        for path in self._staging.glob(f".{job_id}.json.*"):
            content = path.read_bytes()
            return self._decoded(_payload(content, path), path), len(content)
        return None

    async def write_durably(self: Any, work: Any, *, durable: bool = True) -> Any:
        return await write(self, work, durable=True)

    announcements.Announcements._add_folders = watch_writes  # type: ignore[method-assign]
    announcements._jobs = jobs
    settle.Results.read_sized, settle.Outbox.write = read_private, write_durably
    settle.Settler._urgent = lambda *_: True


class _Without:
    """A module in which some functions do nothing."""

    def __init__(self, module: Any, names: tuple[str, ...]) -> None:
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name in self._names else getattr(self._module, name)


def _without(module: str, *names: str) -> Callable[[Any], None]:
    def patch(patched: Any) -> None:
        setattr(patched, module, _Without(getattr(patched, module), names))

    return patch


#: How long a slow card takes to sync. Without this delay the board's file system mostly hides a wrong order: each
#: sync of the broker or the ledger also commits the names in the same transaction of ext4's journal.
_SLOW_S = 0.1

BUGS: dict[str, Bug] = {
    "no-file-fsync": Bug("files are published without an fsync", "edge.core.durable", _skip_fsync(stat.S_ISREG)),
    "not-handed-over": Bug(
        "results are linked before their content was handed to the disk", "edge.core.ordered", _not_handed_over
    ),
    "no-folder-fsync": Bug(
        "names are published without an fsync of the folder", "edge.core.durable", _skip_fsync(stat.S_ISDIR)
    ),
    "ack-first": Bug(
        "a message is acknowledged before its result is published", "edge.worker.intake.intake", _ack_first
    ),
    "replace": Bug("a result replaces an existing result", "edge.core.durable", _replace_not_link),
    "no-confirm": Bug("a publish counts before the broker confirms it", "edge.broker.session", _no_confirm),
    "delivery-limit": Bug(
        "queues give up after 20 deliveries", "edge.broker.topology", _delivery_limit, own_birth=True, marathon=20_000
    ),
    "early-accept": Bug("202 is answered before the commit is durable", "edge.ledger.writer", _accept_before_commit),
    "eatmydata": Bug("the broker's fsync does nothing", "edge.up.broker.rabbitmq", _eat_my_data),
    "ack-before-names": Bug(
        "a group is acknowledged once its content is synced, before its names are",
        "edge.worker.intake.intake",
        _ack_before_names,
    ),
    "link-first": Bug("a group is linked before its content is synced", "edge.results.commit", _link_first),
    "announce-first": Bug("a group is announced before its names are synced", "edge.results.commit", _announce_first),
    "refused-acked": Bug(
        "a group is acknowledged although its last member was refused", "edge.results.store", _refused_is_acked
    ),
    "window-kept": Bug("the window is not given back at a pause", "edge.worker.intake.window", _keep_the_window),
    "part-unsynced": Bug(
        "a part of a file is answered before it is synced",
        "edge.results.incoming",
        _without("os", "fdatasync", "posix_fadvise"),  # posix_fadvise starts the write, and the next flush ends it
        files=True,
    ),
    "file-unsynced": Bug(
        "a file gets its name before its content is synced",
        "edge.results.incoming",
        _without("os", "fsync"),
        files=True,
    ),
    "file-unnamed": Bug(
        "a file is answered as stored before its name is synced",
        "edge.results.incoming",
        _without("durable", "sync_folder"),
        files=True,
    ),
    "rows-first": Bug("rows are closed before the results are durable", "edge.gateway.background.settle", _rows_first),
}


def install(name: str) -> None:
    """Patch the bug into this process at the import of its module."""
    patch_on_import(BUGS[name].module, BUGS[name].patch)
