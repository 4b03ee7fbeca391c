"""Computes every state that a power cut may leave after a sequence of system calls, by the rules of POSIX.

A shim watches the calls that change files. The content of a file is durable after its last fsync. A change of a name
(made, moved or removed) is durable after a sync of its folder. Of the other changes any subset may survive a cut.

A `journaled` disk keeps the order of changes, as ext4 does with `data=ordered`. Of the changes that are not durable, a
cut keeps the first ones up to some point, and a sync of a folder makes all earlier changes durable as well. Content
that was written out is one of these changes. Other content may survive or not, with any names made after it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.core import durable, ordered
from edge.results.sync_choice import SLOW_S, SyncChoice, Way

_WAIT_AFTER = 4  # SYNC_FILE_RANGE_WAIT_AFTER
Name = tuple[
    int, str
]  # (folder, name); folders have own numbers, because the kernel uses the number of a removed one again
Change = dict[Name, int | None]  # names that are set or removed together
WrittenOut = tuple[int, bytes]  # a file, and its content when its change entered the journal


class Died(BaseException):
    """The process is dead. No `finally` of it has an effect on the disk any more."""


@dataclass(frozen=True)
class State:
    """A tree that a cut may leave: the content of each path below the root, or None for a folder."""

    tree: tuple[tuple[str, bytes | None], ...]

    def write(self, root: Path) -> None:
        """Create this tree in the empty folder `root`."""
        for name, content in self.tree:
            if content is None:
                (root / name).mkdir(parents=True)
            else:
                (root / name).write_bytes(content)


@dataclass
class _Inode:
    folder: bool
    durable: bytes = b""
    now: bytes = b""


@dataclass
class Point:
    """The disk after one system call: the durable content and names, and the pending changes."""

    call: str
    names: dict[Name, int]
    pending: list[Change | WrittenOut]
    content: dict[int, tuple[bytes, bytes] | None]
    journaled: bool = False

    def states(self) -> set[State]:
        """Yield every tree that a cut at this point may leave."""
        found = set()
        for kept in self._kept():
            names: dict[Name, int | None] = dict(self.names)
            written = dict[int, bytes]()
            for change in itertools.compress(self.pending, kept):
                if isinstance(change, tuple):
                    written[change[0]] = change[1]
                else:
                    names |= change
            reached = dict(_walk(names, 0, ""))
            choices = [self._contents(inode, written) for inode in reached.values()]
            found |= {State(tuple(sorted(zip(reached, each, strict=True)))) for each in itertools.product(*choices)}
        return found

    def _kept(self) -> Iterator[tuple[bool, ...]]:
        count = len(self.pending)
        if self.journaled:
            return ((True,) * first + (False,) * (count - first) for first in range(count + 1))
        return itertools.product((False, True), repeat=count)

    def _contents(self, inode: int, written: dict[int, bytes]) -> list[bytes | None]:
        content = self.content[inode]
        if content is None:
            return [None]
        durable, now = content
        durable = written.get(inode, durable)
        return list(dict.fromkeys((durable, now, now[: len(now) // 2], b"\0" * len(now)))) if durable != now else [now]


def _walk(names: dict[Name, int | None], folder: int, prefix: str) -> Iterator[tuple[str, int]]:
    for (parent, name), inode in names.items():
        if parent == folder and inode is not None:
            yield prefix + name, inode
            yield from _walk(names, inode, f"{prefix}{name}/")


@dataclass
class Disk:
    """Watches the calls below `root`, and keeps the state of the disk after each call."""

    root: Path
    points: list[Point] = field(default_factory=list)
    way: Way = Way.TOGETHER  # how results are committed; with ORDERED the disk is journaled
    die_at: int = -1  # number of the call before which the process dies
    _calls: int = 0
    _inodes: dict[int, _Inode] = field(default_factory=lambda: {0: _Inode(folder=True)})
    _names: dict[Name, int] = field(default_factory=dict)
    _durable: dict[Name, int] = field(default_factory=dict)
    _pending: list[Change | WrittenOut] = field(default_factory=list)

    @contextmanager
    def watched(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Watch every call inside the block. Raises Died in the program before call `die_at`."""
        self.root = self.root.resolve()
        self._calls = 0
        self._point("start")
        with monkeypatch.context() as patch:
            for name in ("open", "write", "fsync", "link", "rename", "replace", "unlink", "mkdir", "rmdir"):
                patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
            patch.setattr(durable, "_syncfs", self._wrapped("syncfs", durable._syncfs))
            patch.setattr(ordered, "_sync_file_range", self._wrapped("sync_file_range", ordered._sync_file_range))
            yield

    @property
    def choice(self) -> SyncChoice:
        """The choice of syncs that commits results in this disk's way."""
        choice = SyncChoice(keeps_order=lambda _: self.way is Way.ORDERED)
        if self.way is Way.APART:
            choice.took(SLOW_S + 1)
        return choice

    def settle(self) -> None:
        """Make everything durable that was written: the state in which a test starts."""
        self._durable, self._pending = dict(self._names), []
        for inode in self._inodes.values():
            inode.durable = inode.now
        self.points.clear()
        self._point("settled")

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            where = self._where(args[0], kwargs.get("dir_fd"))
            if where is None or (name == "open" and not args[1] & (os.O_CREAT | os.O_TRUNC)):
                return real(*args, **kwargs)
            if 0 <= self.die_at <= self._calls:
                raise Died
            known = name == "open" and self._lookup(where) is not None
            result = real(*args, **kwargs)
            self._note(name, where, args, known=known)
            self._calls += 1
            target = f" {self._where(args[1], None)}" if name in ("link", "rename", "replace") else ""
            self._point(f"{name} {where}{target}")
            return result

        return call

    def _where(self, thing: Any, dir_fd: int | None) -> Path | None:
        """Return the path of a descriptor or name relative to the root, or None for a path outside of it."""
        if isinstance(thing, int):
            path = Path(str(Path(f"/proc/self/fd/{thing}").readlink()).removesuffix(" (deleted)"))
        else:
            base = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path.cwd()
            path = base / os.fspath(thing)
        return path.relative_to(self.root) if path.is_relative_to(self.root) else None

    def _note(self, name: str, where: Path, args: tuple[Any, ...], *, known: bool) -> None:
        match name:
            case "open" if not known:
                self._change({self._name(where): self._new(folder=False)})
            case "open":
                self._inodes[self._inode(where)].now = b""
            case "mkdir":
                self._change({self._name(where): self._new(folder=True)})
            case "write":
                self._inodes[self._inode(where)].now += bytes(args[1])
            case "link":
                self._change({self._name(self._below(args[1])): self._inode(where)})
            case "rename" | "replace":
                target = self._below(args[1])
                # rename(2) changes nothing if both names belong to one file
                if self._lookup(target) != self._inode(where):
                    self._change({self._name(target): self._inode(where), self._name(where): None})
            case "unlink" | "rmdir":
                self._change({self._name(where): None})
            case "fsync":
                self._sync(self._inode(where))
            case "sync_file_range":
                if args[1] & _WAIT_AFTER:  # without this flag the write may still be in progress
                    number = self._inode(where)
                    self._pending.append((number, self._inodes[number].now))
            case "syncfs":
                for number in range(len(self._inodes)):
                    self._sync(number)

    def _sync(self, number: int) -> None:
        inode = self._inodes[number]
        inode.durable = inode.now
        if not inode.folder:
            return
        mine = [at for at, change in enumerate(self._pending) if _touches(change, number)]
        done = range(mine[-1] + 1) if self.way is Way.ORDERED and mine else mine
        for at in done:
            change = self._pending[at]
            if isinstance(change, tuple):
                self._inodes[change[0]].durable = change[1]
            else:
                _apply(self._durable, change)
        self._pending = [change for at, change in enumerate(self._pending) if at not in done]

    def _change(self, change: Change) -> None:
        _apply(self._names, change)
        self._pending.append(change)

    def _below(self, thing: Any) -> Path:
        where = self._where(thing, None)
        assert where is not None
        return where

    def _name(self, where: Path) -> Name:
        return self._inode(where.parent), where.name

    def _inode(self, where: Path) -> int:
        number = self._lookup(where)
        assert number is not None, where
        return number

    def _lookup(self, where: Path) -> int | None:
        number: int | None = 0
        for part in where.parts:
            number = self._names.get((number, part)) if number is not None else None
        return number

    def _new(self, *, folder: bool) -> int:
        number = len(self._inodes)
        self._inodes[number] = _Inode(folder)
        return number

    def _point(self, call: str) -> None:
        content = {n: None if inode.folder else (inode.durable, inode.now) for n, inode in self._inodes.items()}
        self.points.append(
            Point(call, dict(self._durable), list(self._pending), content, journaled=self.way is Way.ORDERED)
        )


def _touches(change: Change | WrittenOut, folder: int) -> bool:
    return isinstance(change, dict) and any(parent == folder for parent, _ in change)


def _apply(names: dict[Name, int], change: Change) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
