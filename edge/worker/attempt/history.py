"""Records how the earlier attempts at a job ended: by a crash, an interruption or a power cut.

A worker writes the id of the job that it runs to `run/running/NAME.json` (the mark), and empties that file when the
body ends. A mark of a dead process means a crash. A power cut removes the marks, because they are on tmpfs. So from the
second delivery on, the start of a body is made durable together with its boot id. A start in another boot without an
end means a power cut.

A worker may have several messages of a queue in hand and runs them in order. All of them are delivered again after a
power cut. Only the first has begun for certain, because the others begin after it. So a cut is counted only for the
first. The others run one at a time (see `unsure`): if one of them causes the cuts, it is the first to be delivered
after the next cut.

A worker of threads marks all bodies that run. A crash with one body counts for its job. A crash with several bodies
counts for none of them, because nobody knows which body caused it. All of them become suspects. Until a suspect has
ended, it runs only together with other suspects, and at most half of the number that ran at the crash run at once (see
`parallel_limit`). After a few crashes the culprit runs alone, and its crashes count. By then the others have ended.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.errors import not_none
from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout
from edge.model import Attempts, Begun, is_job_id
from edge.results.attempts import AttemptsStore
from edge.worker.api import checkpoint
from edge.worker.attempt.brownout import UptimeMarker
from edge.worker.attempt.delivery import Delivery

logger = logging.getLogger(__name__)

#: Largest number of entries of `Attempts.ended`.
_KEPT = 50
#: Largest number of deliveries that `give_back` remembers.
_REMEMBERED = 1024
#: Environment variable with the path of a file. The systemd unit writes $SERVICE_RESULT of the previous worker to it.
ENDED = "EDGE_ENDED"
#: Entry of `Attempts.ended` if the kernel killed the process for its memory. It counts as a crash.
STARVED = "out-of-memory"


class RunningMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of `run/running/NAME.json`: the bodies that a worker runs."""

    id: str
    boot_id: str
    pid: int
    ended: str = ""  # $SERVICE_RESULT of that process, if known
    others: tuple[str, ...] = ()  # ids of the further bodies of a worker of threads
    ran: int = 0  # bodies that ran at once in a worker of threads when this was written

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all jobs whose bodies ran."""
        return (self.id, *self.others)


class AttemptHistory:
    """Keeps the records of earlier attempts at the jobs that this worker receives. Belongs to the main thread.

    Methods raise OSError if the disk refuses a record, unless their docstring says otherwise.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        attempts: AttemptsStore | None = None,
        *,
        early_cut_s: float = 60.0,
        many: bool = False,
    ) -> None:
        """Make the history of the worker `name`.

        Args:
            layout: the folders of the board.
            name: the worker.
            attempts: the store of the records; by default the local one.
            early_cut_s: a power cut within this time of a body's start is an early one.
            many: whether several bodies may run at once.
        """
        self._many = many
        self._running: dict[str, None] = {}  # ids, in the order of their start
        self._mark_bytes = 0
        self.attempts = attempts or AttemptsStore(layout)
        self._checkpoints = layout.checkpoints
        self._folder = layout.running
        self._own = self._folder / f"{name}.json"
        self._fd: int | None = None
        self._given_back: OrderedDict[str, int] = OrderedDict()
        self._uptime_marker = UptimeMarker(self.attempts, early_cut_s)
        #: Redeliveries and record of the last `look` that wrote a record, until the body begins.
        self._looked: tuple[int, Attempts] | None = None

    def recover(self) -> None:
        """Rename the mark of the previous worker, so that this worker does not overwrite it. Call this once, first.

        Also adds to that mark how the previous worker ended, if systemd reported it, and removes temporary files that
        were left in the folders of records and checkpoints.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.attempts.folder, self._checkpoints):
            for temp in folder.glob(".*.tmp"):
                if durable.abandoned(temp):
                    temp.unlink(missing_ok=True)
        ended = _how_predecessor_ended()
        with suppress(FileNotFoundError):
            if self._own.stat().st_size:
                left = self._own.with_name(f"{self._own.stem}.{os.urandom(4).hex()}.json")
                self._own.rename(left)
                if ended and (mark := _read_mark(left)) is not None:
                    with suppress(OSError):  # without this note the mark counts as an ordinary crash
                        durable.replace_volatile(left, msgspec.json.encode(msgspec.structs.replace(mark, ended=ended)))

    def tidy(self, has_ended: Callable[[str], bool]) -> None:
        """Remove records and checkpoints of jobs that have ended, perhaps on another board. Raises OSError."""
        kept = [path for folder in (self.attempts.folder, self._checkpoints) for path in folder.glob("*.json")]
        kept += self._checkpoints.glob("*.d")
        ids = {path.stem for path in kept if is_job_id(path.stem)}
        ended = {job_id for job_id in ids if has_ended(job_id)}
        for path in kept:
            if path.stem in ended:
                checkpoint.forget(self._checkpoints, path.stem)
                if path.suffix == ".json":
                    path.unlink(missing_ok=True)

    def begin(self, job_id: str) -> None:
        """Mark that a body of this job runs here. Every job costs this write, so the file is overwritten in place."""
        if self._fd is None:
            self._fd = os.open(self._own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        self._given_back.pop(job_id, None)
        if not self._many:
            self._running.clear()
        self._running[job_id] = None
        self._write_mark()
        looked, self._looked = self._looked, None
        if looked is not None and looked[1].id == job_id:
            self._uptime_marker.watch(looked[1])

    def end(self, *job_ids: str) -> None:
        """Remove the marks of these bodies, or all marks if no job is named. An empty file means that nothing runs."""
        self._uptime_marker.stop(*job_ids)
        for job_id in job_ids or tuple(self._running):
            self._running.pop(job_id, None)
        if self._fd is None:
            return
        if self._running:
            self._write_mark()
        else:
            os.ftruncate(self._fd, 0)
            self._mark_bytes = 0

    def _write_mark(self) -> None:
        """Overwrite the mark in one call. A shorter mark is padded with blanks, which JSON allows at its end."""
        first, *others = self._running
        ran = len(self._running) if self._many else 0
        mark = RunningMark(first, boot_id(), os.getpid(), others=tuple(others), ran=ran)
        data = msgspec.json.encode(mark).ljust(self._mark_bytes)
        self._mark_bytes = len(data)
        os.pwrite(not_none(self._fd, "the file of the mark"), data, 0)

    def drop(self) -> None:
        """Remove the file of the mark, because the process is about to end.

        It is removed by its name: a body may have closed the descriptor.
        """
        self._own.unlink(missing_ok=True)

    def give_back(self, delivery: Delivery) -> None:
        """Remember that this delivery goes back before its body began.

        So its next delivery does not count as another attempt.
        """
        self._given_back[delivery.id] = delivery.redeliveries
        while len(self._given_back) > _REMEMBERED:
            self._given_back.popitem(last=False)

    def unsure(self, delivery: Delivery) -> bool:
        """Return True if the body may have begun in an earlier delivery.

        Such a body runs alone, because it may end the process.
        """
        return bool(delivery.redeliveries) and self._given_back.get(delivery.id, -1) != delivery.redeliveries - 1

    def look(self, delivery: Delivery) -> Attempts | None:
        """Update the record of the earlier attempts durably and return it, or None if this is the first attempt."""
        earlier = self.attempts.read(delivery.id)
        looked, self._looked = self._looked, None
        if earlier is not None and (delivery.redeliveries, earlier) == looked:
            self._looked = looked  # a disk error came between `look` and the body: it is the same attempt
            return earlier
        unbegun = not self.unsure(delivery)
        if unbegun and self._many and delivery.redeliveries:  # given back here, but it may be a suspect all the same
            unbegun = not self._ran_at_crash(delivery.id)
        unseen = earlier is None or earlier.begun is None
        if unseen and (unbegun or not (delivery.first_in_queue or self._marked(delivery.id))):
            return earlier
        earlier = earlier or Attempts(delivery.id)
        if earlier.failures > delivery.failures:  # an old copy: its body will not run
            return earlier
        marks = [(path, mark) for path, mark in self._marks() if delivery.id in mark.ids]
        saved = checkpoint.digest(self._checkpoints / f"{delivery.id}.json")
        crashes, ran_at_crash = earlier.crashes, earlier.suspects
        begun, how, early = Begun(boot_id(), saved), "interrupted", False
        if earlier.begun is not None and earlier.begun.boot_id != boot_id():
            how, early = "power-cut", not earlier.begun.lasted and earlier.begun.checkpoint == saved
        for path, mark in marks:
            if mark.boot_id != boot_id():
                how = "power-cut"
            elif path.stem.count(".") or not process_alive(mark.pid):
                how, early = STARVED if mark.ended == "oom-kill" else "crash", False
                crashes, ran_at_crash = crashes + (mark.ran <= 1), mark.ran
            elif path != self._own:  # another worker of this board runs a copy: the start of that copy counts
                begun, early = earlier.begun or begun, False
        runs_elsewhere = begun is earlier.begun
        earlier = msgspec.structs.replace(
            earlier,
            deliveries=earlier.deliveries + 1,
            crashes=crashes,
            suspects=ran_at_crash,
            ended=(*earlier.ended, how)[-_KEPT:],
            begun=begun,
            early_cuts=earlier.early_cuts if runs_elsewhere else earlier.early_cuts + 1 if early else 0,
        )
        self.attempts.write(earlier)
        self._looked = delivery.redeliveries, earlier
        for path, mark in marks:
            if path != self._own and (path.stem.count(".") or not process_alive(mark.pid)):
                self._remove_from_mark(path, mark, delivery.id)
        return earlier

    def parallel_limit(self, delivery: Delivery) -> int:
        """Return how many bodies may run at once while this one runs, including this one; 0 means any number.

        Only a suspect has a limit. Raises OSError.
        """
        if not delivery.redeliveries:
            return 0
        earlier = self.attempts.read(delivery.id)
        return parallel_limit_of(self._ran_at_crash(delivery.id) or (earlier.suspects if earlier is not None else 0))

    def interrupted(self, earlier: Attempts | None) -> None:
        """Note that the worker stopped the body, so that the lack of an end does not count as a power cut.

        A disk error is only logged.
        """
        if earlier is None or earlier.begun is None:
            return
        try:
            self.attempts.write(msgspec.structs.replace(earlier, begun=None, early_cuts=0))
        except OSError as err:
            logger.warning("cannot note that %s was interrupted: %s", earlier.id, err)

    def failed(self, delivery: Delivery, earlier: Attempts | None, error: str) -> None:
        """Record durably that the body failed with retries left."""
        earlier = earlier or Attempts(delivery.id)
        self.attempts.write(
            msgspec.structs.replace(
                earlier,
                deliveries=earlier.deliveries + 1,
                failures=delivery.failures + 1,
                ended=(*earlier.ended, "error")[-_KEPT:],
                last_error=error,
                begun=None,
                early_cuts=0,
                suspects=0,
            )
        )

    def _ran_at_crash(self, job_id: str) -> int:
        """Return how many bodies ran when a worker of threads crashed that ran this job, or 0 if none crashed."""
        own = ((path, mark) for path, mark in self._marks() if job_id in mark.ids and mark.boot_id == boot_id())
        crashed = (mark.ran for path, mark in own if path.stem.count(".") or not process_alive(mark.pid))
        return max(crashed, default=0)

    @staticmethod
    def _remove_from_mark(path: Path, mark: RunningMark, job_id: str) -> None:
        """Remove a job from the mark of a dead worker, because the crash is in the job's record now."""
        left = [each for each in mark.ids if each != job_id]
        if left:
            mark = msgspec.structs.replace(mark, id=left[0], others=tuple(left[1:]))
            durable.replace_volatile(path, msgspec.json.encode(mark))
        else:
            path.unlink(missing_ok=True)

    def _marked(self, job_id: str) -> bool:
        return any(job_id in mark.ids for _, mark in self._marks())

    def _marks(self) -> list[tuple[Path, RunningMark]]:
        with suppress(FileNotFoundError):
            found = [path for path in self._folder.iterdir() if path.suffix == ".json" and path.name[0] != "."]
            return [(path, mark) for path in found if (mark := _read_mark(path)) is not None]
        return []


def parallel_limit_of(ran_at_crash: int) -> int:
    """Return how many suspects may run at once after a crash at which this number of bodies ran. 0 means no limit."""
    return max(1, ran_at_crash // 2) if ran_at_crash else 0


def _read_mark(path: Path) -> RunningMark | None:
    with suppress(OSError, stored.BadContent):
        return stored.read(path, RunningMark)
    return None


def _how_predecessor_ended() -> str:
    """Return $SERVICE_RESULT of the previous worker, or an empty text if it is not known. Removes the file."""
    path = os.environ.get(ENDED)
    if not path:
        return ""
    try:
        result = Path(path).read_text().strip()
        Path(path).unlink()
    except (OSError, UnicodeDecodeError):
        return ""
    return result
