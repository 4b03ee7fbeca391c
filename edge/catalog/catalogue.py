"""Which kinds of job there are and what they take, read from another process.

Task modules are a person's code with heavy imports. `python -m edge.worker.celery.catalogue` imports them once and
prints what they declare, so that neither the gateway nor the CLI ever runs a line of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from edge.catalog import quick
from edge.catalog.signature import named, short, takes
from edge.core.errors import BadArguments, CatalogueError, UnknownTask
from edge.core.values import JsonObject
from edge.model import InputFile, Pool, Power
from edge.schedule.arguments import results_in

#: Importing every module of a small board's tasks may take a while when its card is cold and RabbitMQ starts beside it.
TIMEOUT_S = 120.0


#: Says of named arguments what is wrong with the first one that does not fit; empty: all fit.
Judge = Callable[[Mapping[str, object]], str]


class TaskInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of job."""

    name: str
    summary: str = ""
    description: str = ""
    module: str = ""
    positional: tuple[str, ...] = ()
    schema: JsonObject = {}
    power: Power = Power.NORMAL
    pool: Pool = Pool.MAIN
    retries: int = 0
    time_limit_s: float | None = None
    scope: str = ""  # that a submitter's token needs beside `submit`; empty: none
    inputs: dict[str, int] | None = None  # files that a job of it needs, each with its largest size; None: any
    one_folder: bool = False  # its files lie in one folder by their own names, which have to differ

    def check_files(self, files: Mapping[str, InputFile]) -> None:
        """Return if a job of this kind may have these files. Raises BadArguments."""
        if self.one_folder:
            names = [file.name or name for name, file in files.items()]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise BadArguments(self.name, f"two inputs have the file name {twice!r}: give each its own")
        if self.inputs is None:
            return
        known = ", ".join(self.inputs) or "none"
        for name, most in self.inputs.items():
            if name not in files:
                raise BadArguments(self.name, f"input {name!r} is missing; the files it takes: {known}")
            size = files[name].bytes
            if size is not None and size > most:
                raise BadArguments(self.name, f"input {name!r} has {size} bytes; at most {most} are taken")
        for name in files:
            if name not in self.inputs:
                raise BadArguments(self.name, f"unknown input {name!r}; the files it takes: {known}")


class Listing(msgspec.Struct, frozen=True):
    """What the other process prints."""

    tasks: tuple[TaskInfo, ...]
    errors: dict[str, str]


class Catalogue:
    """The kinds of job by name, and one line for each module that could not be imported."""

    def __init__(self, tasks: Mapping[str, TaskInfo], errors: Mapping[str, str]) -> None:
        self.tasks = dict(tasks)
        self.errors = dict(errors)
        self._judges: dict[str, Judge] = {}
        self._quick: dict[str, Callable[[Mapping[str, object]], bool]] = {}

    def check(
        self, task: str, args: Sequence[object], kwargs: Mapping[str, object], *, open_values: bool = False
    ) -> None:
        """Return if the worker will accept these arguments. Callable from any thread.

        With `open_values` those are not judged yet that have the result of another job in them.

        Raises UnknownTask or BadArguments, each with one sentence.
        """
        info = self.tasks.get(task)
        if info is None:
            raise UnknownTask(task, sorted(self.tasks))
        arguments: JsonObject = named(task, info.positional, args, kwargs)
        properties = info.schema.get("properties", {})
        for name in arguments:
            if name not in properties:
                raise BadArguments(task, f"unknown argument {short(name)}; {takes(tuple(properties))}")
        for name in info.schema.get("required", ()):
            if name not in arguments:
                raise BadArguments(task, f"argument {name!r} is missing; {takes(tuple(properties))}")
        if open_values:
            known = {name: value for name, value in arguments.items() if not any(results_in(value))}
            if len(known) < len(arguments):
                arguments, info = known, msgspec.structs.replace(info, schema={**info.schema, "required": []})
                self._judge_all(info, arguments, judge_of=_judge)
                return
        if task not in self._quick:
            self._quick[task] = quick.compiled(properties)
        if self._quick[task](arguments):
            return
        self._judge_all(info, arguments, judge_of=self._judge)

    @staticmethod
    def _judge_all(info: TaskInfo, arguments: JsonObject, *, judge_of: Callable[[TaskInfo], Judge]) -> None:
        task = info.name
        try:
            problem = judge_of(info)(arguments)
        except RecursionError as err:
            raise BadArguments(task, "the arguments are nested too deeply") from err
        if problem:
            raise BadArguments(task, problem)

    def _judge(self, info: TaskInfo) -> Judge:
        if info.name not in self._judges:
            self._judges[info.name] = _judge(info)
        return self._judges[info.name]


def _judge(info: TaskInfo) -> Judge:
    # Here, because JSON Schema's library takes 5 MiB: a board whose jobs all fit never needs it.
    from edge.catalog import judge

    return judge.judge(info.schema)


def load(config_path: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> Catalogue:
    """Import the task modules of the configuration in another process, and read what they declare. Blocks.

    A broken module is an entry in `errors`. Raises CatalogueError when nothing could be read.
    """
    env = dict(os.environ)
    if config_path is not None:
        env["EDGE_CONFIG"] = str(config_path)
    argv = [sys.executable, "-m", "edge.worker.celery.catalogue"]
    # Not pipes: a process that a module started and left running could keep a pipe open for ever.
    with _memory() as out, _memory() as err:
        code = _run(argv, env, out, err, timeout_s)
        out.seek(0)
        err.seek(0)
        *modules, answer = out.read().splitlines() or [b""]
        words = err.read().decode(errors="replace").strip().splitlines()
    if not answer.startswith(b"{"):
        modules, answer = [*modules, answer], b""
    culprit = f"module {modules[-1].decode(errors='replace')}: " if modules and modules[-1] else ""
    if code is None:
        raise CatalogueError(f"{culprit}the task modules were not imported within {timeout_s:g} s")
    if code != 0:
        raise CatalogueError(culprit + (words[-1] if words else f"its import ended the process with {code}"))
    if not answer:
        raise CatalogueError(f"{culprit}its import ended the process")
    try:
        listing = msgspec.json.decode(answer, type=Listing)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise CatalogueError(f"what the task modules declare cannot be read: {fault}") from fault
    return Catalogue({info.name: info for info in listing.tasks}, listing.errors)


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("catalogue"), "w+b")


def _run(argv: list[str], env: dict[str, str], out: IO[bytes], err: IO[bytes], timeout_s: float) -> int | None:
    """The exit code, None when it had to be ended."""
    try:
        return subprocess.run(
            argv, check=False, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout_s
        ).returncode
    except subprocess.TimeoutExpired:
        return None
    except OSError as fault:
        raise CatalogueError(f"cannot start {argv[0]}: {fault}") from fault
