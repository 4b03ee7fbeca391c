"""Holds the kinds of job and their arguments, which another process reads from the task modules.

Task modules are code of the owner, with heavy imports. `python -m edge.worker.celery.catalogue` imports them once, and
prints the tasks that they declare. So neither the gateway nor the CLI ever runs this code.
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
from edge.catalog.inputs import check_files
from edge.catalog.signature import named, short, takes
from edge.core.errors import BadArguments, CatalogueError, UnknownTask
from edge.core.values import JsonObject
from edge.model import InputFile, Pool, Power
from edge.schedule.arguments import results_in

#: The import of all task modules takes long on a small board that has just booted and starts RabbitMQ at the same time.
TIMEOUT_S = 120.0


#: Returns what is wrong with the first of the named arguments that does not fit, or "" if all fit.
Judge = Callable[[Mapping[str, object]], str]


class TaskInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Describes one kind of job."""

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
    scope: str = ""  # scope that the token of a submitter needs in addition to `submit`; "" if none
    inputs: dict[str, int] | None = None  # largest size in bytes of each file that a job needs; None if any files fit
    one_folder: bool = False  # the files of a job are placed in one folder by their own names, which must differ

    def check_files(self, files: Mapping[str, InputFile]) -> None:
        """Check that a job of this kind may have these files. Raises BadArguments if it may not."""
        check_files(self.name, files, inputs=self.inputs, one_folder=self.one_folder)


class Listing(msgspec.Struct, frozen=True):
    """The document that the other process prints."""

    tasks: tuple[TaskInfo, ...]
    errors: dict[str, str]


class Catalogue:
    """The kinds of job by name, and one line for each module that could not be imported.

    Its methods may be called from any thread.
    """

    def __init__(self, tasks: Mapping[str, TaskInfo], errors: Mapping[str, str]) -> None:
        self.tasks = dict(tasks)
        self.errors = dict(errors)
        self._judges: dict[str, Judge] = {}
        self._quick: dict[str, Callable[[Mapping[str, object]], bool]] = {}

    def check(
        self, task: str, args: Sequence[object], kwargs: Mapping[str, object], *, open_values: bool = False
    ) -> None:
        """Check that the worker will accept these arguments.

        Args:
            task: the kind of job.
            args: arguments by position.
            kwargs: arguments by name.
            open_values: skip the values that contain the result of another job, because they are not known yet.

        Raises:
            UnknownTask, BadArguments: the message is one sentence.
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
    # Imported here because the library for JSON Schema takes 5 MiB. It is not needed while all arguments fit.
    from edge.catalog import judge

    return judge.judge(info.schema)


def load(config_path: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> Catalogue:
    """Import the task modules of the configuration in another process, and return the tasks that they declare. Blocks.

    A module that cannot be imported is an entry in `errors`.

    Args:
        config_path: the configuration file, or None for the default one.
        timeout_s: longest time for all imports.

    Raises:
        CatalogueError: nothing could be read.
    """
    env = dict(os.environ)
    if config_path is not None:
        env["EDGE_CONFIG"] = str(config_path)
    argv = [sys.executable, "-m", "edge.worker.celery.catalogue"]
    # These are files in memory instead of pipes. A process that a module started could keep a pipe open forever.
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
    except (ValueError, RecursionError) as fault:
        raise CatalogueError(f"the list of tasks cannot be read: {fault}") from fault
    return Catalogue({info.name: info for info in listing.tasks}, listing.errors)


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("catalogue"), "w+b")


def _run(argv: list[str], env: dict[str, str], out: IO[bytes], err: IO[bytes], timeout_s: float) -> int | None:
    """Run a program. Return its exit code, or None if it was killed at the time limit. Raises CatalogueError."""
    try:
        return subprocess.run(
            argv, check=False, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout_s
        ).returncode
    except subprocess.TimeoutExpired:
        return None
    except OSError as fault:
        raise CatalogueError(f"cannot start {argv[0]}: {fault}") from fault
