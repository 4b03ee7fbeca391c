"""The body of a command: prepares, starts, follows and ends one program.

No exception is raised from outside in this body. A cancel, a limit, a stop or a hold wakes the loop, which then calls
`host.check`. So each step is completed, and the program never continues without its body.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import msgspec

from edge.catalog.commands import is_any
from edge.config import CommandConfig
from edge.config.command_check import NOTHING, outputs_of
from edge.config.commands import PATH
from edge.core import trees
from edge.core.values import JsonValue
from edge.core.wakeup import Wakeup
from edge.model import FailureCode
from edge.results.inputs import Inputs
from edge.results.stream import Stream
from edge.worker.api.checkpoint import Checkpoint, folder_of
from edge.worker.attempt.delivery import Delivery
from edge.worker.command import disk, outputs, sandbox
from edge.worker.command.argv import arguments
from edge.worker.command.cgroup import Group, NotEnforced
from edge.worker.command.cgroup_files import wanted
from edge.worker.command.child import READ_BYTES, Child
from edge.worker.command.failure import ProgramFailed
from edge.worker.command.group import Processes
from edge.worker.command.host import JobHost
from edge.worker.command.inputs import place_inputs
from edge.worker.command.progress import ProgressReader
from edge.worker.command.saved import SavedFolder
from edge.worker.command.shared import Commands
from edge.worker.power.meter import Usage
from edge.worker.process.control import JobInterrupted, JobTimedOut

_MIB = 1 << 20
#: Seconds between two checks of the disk space that the program uses, and of a governor that may have died.
LOOK_S = 1.0
#: Seconds between two syncs of the checkpoint folder.
SYNC_S = 5.0
_DRAIN_S = 2.0
_SIGNALS = {number.value: number.name for number in signal.Signals}


@dataclass(frozen=True)
class _Place:
    """The folders of one run: their paths outside of the sandbox, and the paths that the program sees."""

    work: Path
    saved: Path
    seen_work: PurePath
    seen_saved: PurePath
    inputs: Mapping[str, tuple[PurePath, Path]]  # by name: the path that the program sees, and the path outside


class Run:
    """Runs the program of one attempt. Belongs to the thread of the body."""

    def __init__(
        self,
        commands: Commands,
        delivery: Delivery,
        *,
        host: JobHost,
        file: Callable[[str], Path],
        checkpoint: Checkpoint,
        attempt: int,
    ) -> None:
        """Make the run of one attempt. `file` returns the path for a file of the result, by its name."""
        self._commands, self._delivery, self._host, self._file = commands, delivery, host, file
        self._checkpoint, self._attempt = checkpoint, attempt
        output = commands.output_of(delivery.id)
        self._streams = {name: Stream(output / name) for name in ("stdout", "stderr")}
        self._output = output
        self._live, self._mark = commands.live, secrets.token_hex(4)  # the mark identifies this attempt at the head
        self._asked_to_end = False  # SIGTERM was sent, because the worker stops or power is critical
        self._group: Group | None = None
        self._oom_kills = 0

    def __call__(self, command: CommandConfig, values: Mapping[str, JsonValue]) -> JsonValue:
        """Run the program to its end. Return the value of the job: exit code, last lines, and sizes in bytes.

        Raises:
            ProgramFailed: the program failed, or cannot run here.
            JobControl: the job was cancelled or has to run again.
            OSError: the disk refuses.
        """
        with self._host.shield(), self._folders(command) as (place, saved):
            try:
                code = self._run(command, values, place, saved)
                return self._ended(command, code, place)
            except JobTimedOut as err:
                raise self._failed(FailureCode.TIME_LIMIT, str(err)) from err
            finally:
                self._keep_output()

    # --- before -------------------------------------------------------------------------------------------

    @contextmanager
    def _folders(self, command: CommandConfig) -> Iterator[tuple[_Place, SavedFolder]]:
        layout = self._commands.layout
        base = layout.work(self._commands.name) / f"{self._delivery.id}.{secrets.token_hex(4)}"
        work = base / "work"
        saved = SavedFolder(folder_of(layout.checkpoints, self._delivery.id), note=self._note)
        try:
            work.mkdir(mode=0o700, parents=True)
            saved.prepare()
            if command.sandbox:
                sandbox.give(work, saved.path)
            boxed = command.sandbox
            yield (
                _Place(
                    work,
                    saved.path,
                    sandbox.WORK if boxed else work,
                    sandbox.CHECKPOINT if boxed else saved.path,
                    place_inputs(command, self._delivery.files, Inputs(layout.files), base),
                ),
                saved,
            )
        finally:
            trees.remove(base)
            saved.close()

    def _note(self, state: object) -> bool:
        return self._checkpoint.save(state, now=True)

    def _words(self, command: CommandConfig, values: Mapping[str, JsonValue], place: _Place) -> list[str]:
        """Return the program and its arguments. Raises ProgramFailed if this board does not have the program."""
        if is_any(command):
            argv = msgspec.convert(values["argv"], list[str])
            return [self._program(argv[0], chosen=True), *argv[1:]]
        inputs = {name: seen for name, (seen, _) in place.inputs.items()}
        return [self._program(command.run[0]), *arguments(command, values, inputs, place.seen_work)]

    def _program(self, name: str, *, chosen: bool = False) -> str:
        found = shutil.which(name, path=PATH) if name and "\0" not in name and not name.startswith("-") else None
        if found is None or not found.startswith("/"):
            code = FailureCode.BAD_ARGUMENTS if chosen else FailureCode.REFUSED
            raise ProgramFailed(code, f"there is no program {name[:200]!r} on this board (looked in {PATH})")
        return found

    def _env(self, command: CommandConfig, place: _Place) -> dict[str, str]:
        return {
            "PATH": PATH,
            "HOME": str(place.seen_work),
            "TMPDIR": "/tmp" if command.sandbox else str(place.seen_work),  # noqa: S108 - the sandbox's own
            "LANG": "C.UTF-8",
            **command.env,
            "EDGE_JOB_ID": self._delivery.id,
            "EDGE_KIND": command.name,
            "EDGE_ATTEMPT": str(self._attempt),
            "EDGE_CHECKPOINT": str(place.seen_saved),
        }

    # --- while it runs ------------------------------------------------------------------------------------

    def _run(self, command: CommandConfig, values: Mapping[str, JsonValue], place: _Place, saved: SavedFolder) -> int:
        """Run the program and return its exit code. On return all its processes have ended."""
        words = self._words(command, values, place)
        bwrap = self._bubblewrap(command)
        self._group = group = self._make_group(command)
        with ExitStack() as stack:
            if group is not None:
                stack.callback(group.remove)
            status: tuple[int, int] | None = None
            if bwrap is not None:
                stack.enter_context(self._commands.reaper.on())
                visible = sandbox.Visible(
                    place.work,
                    place.saved,
                    dict(place.inputs.values()),
                    # The owner's program is visible wherever it lies. A program that a submitter names is not.
                    (*command.reads, *(() if is_any(command) or sandbox.is_visible(words[0]) else (words[0],))),
                    self._commands.hidden,
                    command.network,
                )
                if (secret := sandbox.refused_read(visible)) is not None:
                    why = f"command {command.name}: reads = {secret!r} is state or a secret of the board"
                    raise ProgramFailed(FailureCode.REFUSED, why)
                status = os.pipe2(os.O_CLOEXEC)
                words = [*sandbox.words(bwrap, visible, status=status[1]), *words]
            child = Child(
                words,
                env=self._env(command, place),
                folder=place.work,
                stdin=place.inputs[command.stdin][1] if command.stdin != NOTHING else None,
                file_bytes=self._disk_bytes(command),
                groups=() if group is None else group.folders,
                status=status,
            )
            stack.callback(child.close)
            return self._follow(command, child, place, saved, boxed=bwrap is not None)

    def _bubblewrap(self, command: CommandConfig) -> str | None:
        if not command.sandbox:
            return None
        if self._commands.bubblewrap is None:
            raise ProgramFailed(
                FailureCode.REFUSED,
                f"bubblewrap is not installed (apt install bubblewrap), and command {command.name} needs it",
            )
        return self._commands.bubblewrap

    def _make_group(self, command: CommandConfig) -> Group | None:
        limits = wanted(command)
        if not limits and command.sandbox:
            return None
        try:
            return self._commands.cgroups.make(secrets.token_hex(4), limits, needed=not command.sandbox)
        except NotEnforced as err:
            raise ProgramFailed(
                FailureCode.REFUSED, f"this machine cannot enforce a limit of command {command.name}: {err}"
            ) from err
        except OSError as err:
            raise ProgramFailed(FailureCode.REFUSED, f"no cgroup for the program: {err}") from err

    def _disk_bytes(self, command: CommandConfig) -> int:
        return (
            command.disk_mb * _MIB if command.disk_mb is not None else self._commands.config.worker.max_artifact_bytes
        )

    def _follow(self, command: CommandConfig, child: Child, place: _Place, saved: SavedFolder, *, boxed: bool) -> int:
        first = child.first_pid() if boxed else None
        processes = Processes(self._group, first=first)
        progress = ProgressReader(command)
        try:
            wakeup = Wakeup()
            try:
                with self._host.waking(wakeup):
                    guard = disk.DiskGuard(place.work, place.saved, most_bytes=self._disk_bytes(command))
                    self._loop(child, processes, wakeup, progress, saved, guard)
            finally:
                wakeup.close()
        finally:
            try:
                processes.kill()
            finally:
                child.kill()
                self._drain(child, progress)
                code, usage = child.end(first=first)
                self._host.used(self._counted(usage))
                saved.sync()
        if boxed and code >= 0 and not child.sandbox_was_made:
            raise self._failed(FailureCode.REFUSED, f"bubblewrap could not make the sandbox of command {command.name}")
        if self._asked_to_end:
            self._host.check(saved=True)  # returns only if power came back after SIGTERM; then the job runs again
            raise JobInterrupted("the program was asked to end because power was critical; power is back")
        return code

    def _counted(self, usage: Usage) -> Usage:
        """Return the resources that the program used, completed by the counters of its cgroup."""
        if self._group is None:
            return usage
        self._oom_kills = self._group.oom_kills()
        peak, cpu_s = self._group.peak_bytes(), self._group.cpu_s()
        return replace(
            usage,
            peak_bytes=usage.peak_bytes if peak is None else peak,
            cpu_s=max(usage.cpu_s, cpu_s),
        )

    def _loop(
        self,
        child: Child,
        processes: Processes,
        wakeup: Wakeup,
        progress: ProgressReader,
        saved: SavedFolder,
        guard: disk.DiskGuard,
    ) -> None:
        """Follow the program until it has ended. Raises any error of `host.check` and of the disk guard."""
        poll, pipes = select.poll(), child.pipes
        for fd in (*pipes, wakeup.fileno(), child.handle):
            poll.register(fd, select.POLLIN)
        look_at = time.monotonic()
        sync_at = look_at + SYNC_S
        while True:
            ready = dict(poll.poll(max(look_at - time.monotonic(), 0) * 1000))
            for fd in ready.keys() & pipes.keys():
                if not self._read(fd, pipes[fd], progress):
                    poll.unregister(fd)
                    del pipes[fd]
            if child.handle in ready:
                return
            now = time.monotonic()
            if wakeup.fileno() in ready or now >= look_at:
                wakeup.clear()
                self._attend(processes)
                now = time.monotonic()
                if now >= look_at:
                    guard.look()
                    look_at = now + LOOK_S
                if now >= sync_at:
                    saved.sync()
                    sync_at = now + SYNC_S

    def _attend(self, processes: Processes) -> None:
        """Call `host.check`: the program is frozen while it is held. Send SIGTERM to it if the body must end."""
        if self._host.ending and not self._asked_to_end:
            self._asked_to_end = True
            processes.terminate()

        def hold() -> bool:
            processes.freeze()
            return False

        try:
            self._host.check(save=hold)
        finally:
            processes.thaw()

    def _read(self, fd: int, stream: str, progress: ProgressReader) -> bool:
        """Read what the program has printed. Return False if it has closed the stream."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._streams[stream].feed(data)
        if self._live is not None:
            self._live.printed(self._delivery.id, self._mark)
        if (found := progress.feed(stream, data)) is not None:
            self._host.progress(found)
        return True

    def _drain(self, child: Child, progress: ProgressReader) -> None:
        """Read the rest of the output. It is little, because all processes that could write have ended."""
        until = time.monotonic() + _DRAIN_S
        for fd, stream in child.pipes.items():
            while time.monotonic() < until:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                if not poll.poll(0) or not self._read(fd, stream, progress):
                    break

    # --- after --------------------------------------------------------------------------------------------

    def _ended(self, command: CommandConfig, code: int, place: _Place) -> JsonValue:
        """Return the value of the job. Raises ProgramFailed if there is none, and OSError."""
        number = -code if code < 0 else code - 128 if command.sandbox and 128 < code < 160 else 0
        if code and self._oom_kills:
            limit = f"more memory than memory_mb = {command.memory_mb}"
            why = limit if command.memory_mb is not None else "memory that the board did not have"
            raise self._failed(FailureCode.OUT_OF_MEMORY, f"the program needed {why}")
        if number == signal.SIGXFSZ:
            most = self._disk_bytes(command)
            raise self._failed(
                FailureCode.TOO_LARGE, f"the program wrote a file larger than {most} bytes ({disk.BOUND})"
            )
        if number:
            raise self._failed(
                FailureCode.SIGNAL, f"the program was ended by {_SIGNALS.get(number, f'signal {number}')}"
            )
        if code:
            raise self._failed(FailureCode.EXIT, f"the program ended with exit code {code}")
        if is_any(command):
            outputs.take_all(place.work, self._file, without=[seen.name for seen, _ in place.inputs.values()])
        else:
            outputs.take(place.work, outputs_of(command), self._file)
        return {
            "exit_code": code,
            **{name: stream.last for name, stream in self._streams.items()},
            **{f"{name}_bytes": stream.size_bytes for name, stream in self._streams.items()},
        }

    def _failed(self, code: FailureCode, message: str) -> ProgramFailed:
        """Return a failure with the last lines that the program printed."""
        last = self._streams["stderr"].last or self._streams["stdout"].last
        line = last.strip().rpartition("\n")[2].strip()[:300]
        return ProgramFailed(code, f"{message}: {line}" if line else message, last_lines=last)

    def _keep_output(self) -> None:
        """Add the output as a file to the result, if it is longer than the last lines in the value."""
        if self._live is not None:
            self._live.ended(self._delivery.id)
        for name, stream in self._streams.items():
            stream.close()
            if stream.is_long:
                with suppress(OSError):
                    path = self._file(f"{name}.txt")
                    if not path.exists():
                        stream.keep(path)
        self._commands.close_output(self._output)
