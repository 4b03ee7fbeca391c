"""What happened to a job before: a crash, an interruption or a power cut, read from what its last worker left behind.

A worker marks the job it runs in `run/running/NAME.json` and empties that file when the body ends, however it ends.
A mark that outlived its process says crash. A power cut takes the marks with it; so from the second delivery on the
start of a body is made durable with the boot it belongs to, and a start in another boot with no end says power cut.

A worker has several messages of a queue in hand, and begins them in their order. All of them come again after a cut,
but only the first of them has begun for certain, so only that one counts as begun. The others run one at a time (see
`unsure`): should one of them be what takes the power away, it is the first to come again after the next cut.

A worker of threads marks all bodies that run. When it crashes with one body, that is a crash of its job. With several,
nobody knows which body it was, and it counts for none of them; each runs again beside at most half as many others, all
of them under the same suspicion, until it has ended (`company`). A body that crashes its worker is alone after a few
crashes, which then count; the others have ended by then.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.errors import given
from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout
from edge.model import Attempts, Begun, is_job_id
from edge.results.attempts import AttemptsStore
from edge.worker.api import checkpoint
from edge.worker.attempt.brownout import UptimeMarker
from edge.worker.attempt.delivery import Delivery

logger = logging.getLogger(__name__)

_KEPT = 50
_REMEMBERED = 1024
#: The file in which the unit leaves systemd's word on the end of the worker before this one ($SERVICE_RESULT).
ENDED = "EDGE_ENDED"
#: How an attempt ended whose process the kernel killed for its memory; it is a crash of its job like any other.
STARVED = "out-of-memory"


class RunningMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who runs what: the content of `run/running/NAME.json`."""

    id: str
    boot_id: str
    pid: int
    ended: str = ""  # how systemd says that process ended, where it was asked
    others: tuple[str, ...] = ()  # ids of the further bodies of a worker of threads
    ran: int = 0  # bodies that ran at once in a worker of threads when this was written

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all jobs whose bodies ran."""
        return (self.id, *self.others)


class AttemptHistory:
    """Attempts of the jobs this worker gets. Raises OSError when the disk takes no record."""

    def __init__(
        self,
        layout: Layout,
        name: str,
        attempts: AttemptsStore | None = None,
        *,
        early_cut_s: float = 60.0,
        many: bool = False,
    ) -> None:
        """A power cut within `early_cut_s` of a body's start is an early one. `many` bodies may run at once."""
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
        #: Redeliveries and record of the last `look` that wrote one, until the body begins.
        self._looked: tuple[int, Attempts] | None = None

    def recover(self) -> None:
        """At the start of the worker: rename its predecessor's mark, so that this worker does not overwrite it."""
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
                if ended and (mark := _mark(left)) is not None:
                    with suppress(OSError):  # then it stays a crash like any other
                        durable.replace_volatile(left, msgspec.json.encode(msgspec.structs.replace(mark, ended=ended)))

    def tidy(self, has_ended: Callable[[str], bool]) -> None:
        """Drop what is kept of jobs that are over: another board may have ended them. Raises OSError."""
        kept = [path for folder in (self.attempts.folder, self._checkpoints) for path in folder.glob("*.json")]
        ids = {path.stem for path in kept if is_job_id(path.stem)}
        ended = {job_id for job_id in ids if has_ended(job_id)}
        for path in kept:
            if path.stem in ended:
                path.unlink(missing_ok=True)

    def begin(self, job_id: str) -> None:
        """Mark that a body of this job runs here. One write in place: every job pays it."""
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
        """Take the marks of bodies away, or of all where none is named: an empty file says that nothing runs."""
        self._uptime_marker.rest(*job_ids)
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
        """Write who runs, in one call and over what stood there; JSON may end in blanks."""
        first, *others = self._running
        ran = len(self._running) if self._many else 0
        mark = RunningMark(first, boot_id(), os.getpid(), others=tuple(others), ran=ran)
        data = msgspec.json.encode(mark).ljust(self._mark_bytes)
        self._mark_bytes = len(data)
        os.pwrite(given(self._fd, "the file of the mark"), data, 0)

    def drop(self) -> None:
        """Take the mark away for good, by its name: the process ends, and its descriptors may be anyone's."""
        self._own.unlink(missing_ok=True)

    def give_back(self, delivery: Delivery) -> None:
        """Remember that this delivery goes back with its body not begun: its return is no attempt."""
        self._given_back[delivery.id] = delivery.redeliveries
        while len(self._given_back) > _REMEMBERED:
            self._given_back.popitem(last=False)

    def unsure(self, delivery: Delivery) -> bool:
        """True when the body may have begun in an earlier delivery: it runs alone, since it may end this process."""
        return bool(delivery.redeliveries) and self._given_back.get(delivery.id, -1) != delivery.redeliveries - 1

    def look(self, delivery: Delivery) -> Attempts | None:
        """The record of the earlier attempts, brought up to date durably; None when this is the first."""
        earlier = self.attempts.read(delivery.id)
        looked, self._looked = self._looked, None
        if earlier is not None and (delivery.redeliveries, earlier) == looked:
            self._looked = looked  # the disk stopped us between look and body: the same attempt
            return earlier
        unbegun = not self.unsure(delivery)
        if unbegun and self._many and delivery.redeliveries:  # given back, and suspected all the same
            unbegun = not self._suspects(delivery.id)
        unseen = earlier is None or earlier.begun is None
        if unseen and (unbegun or not (delivery.first_in_queue or self._marked(delivery.id))):
            return earlier
        earlier = earlier or Attempts(delivery.id)
        if earlier.failures > delivery.failures:  # an old copy: its body will not run
            return earlier
        marks = [(path, mark) for path, mark in self._marks() if delivery.id in mark.ids]
        saved = checkpoint.digest(self._checkpoints / f"{delivery.id}.json")
        crashes, suspects = earlier.crashes, earlier.suspects
        begun, how, early = Begun(boot_id(), saved), "interrupted", False
        if earlier.begun is not None and earlier.begun.boot_id != boot_id():
            how, early = "power-cut", not earlier.begun.lasted and earlier.begun.checkpoint == saved
        for path, mark in marks:
            if mark.boot_id != boot_id():
                how = "power-cut"
            elif path.stem.count(".") or not process_alive(mark.pid):
                how, early = STARVED if mark.ended == "oom-kill" else "crash", False
                crashes, suspects = crashes + (mark.ran <= 1), mark.ran
            elif path != self._own:  # it runs here already, from another copy of its message: that one's start counts
                begun, early = earlier.begun or begun, False
        beside = begun is earlier.begun
        earlier = msgspec.structs.replace(
            earlier,
            deliveries=earlier.deliveries + 1,
            crashes=crashes,
            suspects=suspects,
            ended=(*earlier.ended, how)[-_KEPT:],
            begun=begun,
            early_cuts=earlier.early_cuts if beside else earlier.early_cuts + 1 if early else 0,
        )
        self.attempts.write(earlier)
        self._looked = delivery.redeliveries, earlier
        for path, mark in marks:
            if path != self._own and (path.stem.count(".") or not process_alive(mark.pid)):
                self._use_up(path, mark, delivery.id)
        return earlier

    def company(self, delivery: Delivery) -> int:
        """How many bodies may run at once with this one, itself counted, because it may have crashed a worker; 0: any.

        Raises OSError.
        """
        if not delivery.redeliveries:
            return 0
        earlier = self.attempts.read(delivery.id)
        return company_of(self._suspects(delivery.id) or (earlier.suspects if earlier is not None else 0))

    def interrupted(self, earlier: Attempts | None) -> None:
        """The body was stopped in order, so what follows is no power cut of it; a first attempt has nothing to note."""
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

    def _suspects(self, job_id: str) -> int:
        """How many bodies ran when a worker of threads crashed, this job's among them; 0 where none did."""
        own = ((path, mark) for path, mark in self._marks() if job_id in mark.ids and mark.boot_id == boot_id())
        crashed = (mark.ran for path, mark in own if path.stem.count(".") or not process_alive(mark.pid))
        return max(crashed, default=0)

    @staticmethod
    def _use_up(path: Path, mark: RunningMark, job_id: str) -> None:
        """Take a job out of a mark that a worker left: it is on the job's record from now on."""
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
            return [(path, mark) for path in found if (mark := _mark(path)) is not None]
        return []


def company_of(suspects: int) -> int:
    """How many suspects run at once, where so many ran when their worker crashed; 0 where there are none."""
    return max(1, suspects // 2) if suspects else 0


def _mark(path: Path) -> RunningMark | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=RunningMark)
    return None


def _how_predecessor_ended() -> str:
    """What the unit left of the end of the worker before this one; it is taken away."""
    path = os.environ.get(ENDED)
    if not path:
        return ""
    try:
        word = Path(path).read_text().strip()
        Path(path).unlink()
    except (OSError, UnicodeDecodeError):
        return ""
    return word
