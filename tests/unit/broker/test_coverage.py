"""A gap in the list of workers is reported with its remedy."""

from __future__ import annotations

import pytest

from edge.broker.coverage import gaps
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.config import Config, WorkerEntry
from edge.config.records import WorkerConfig
from edge.model import Pool, Power, WorkerPool

KINDS = Catalogue({"solve": TaskInfo("solve"), "fetch": TaskInfo("fetch", pool=Pool.IO)}, {})
MAIN, IO = WorkerEntry("main"), WorkerEntry("io", WorkerPool.THREADS)


def found(*workers: WorkerEntry, kinds: Catalogue = KINDS) -> tuple[str, ...]:
    return gaps(Config(workers=workers, worker=WorkerConfig(name="main")), kinds)


def test_nothing_is_amiss_where_each_kind_has_its_worker() -> None:
    """This holds with a list of workers and without one."""
    assert found() == found(MAIN, IO) == ()


@pytest.mark.parametrize(
    ("workers", "sentence"),
    [
        (
            (MAIN,),
            "no worker of pool threads is configured, which fetch needs; add {name: io, pool: threads} to `workers`",
        ),
        (
            (WorkerEntry("main", classes=(Power.ALWAYS, Power.NORMAL)), IO),
            "no worker of pool main takes power class surplus; add the class to the `classes` of a worker",
        ),
        (
            (MAIN, IO, WorkerEntry("own", kinds=("solv",))),
            "worker own: there is no kind of job 'solv'; did you mean solve?",
        ),
        (
            (MAIN, IO, WorkerEntry("own", kinds=("zzz",))),
            "worker own: there is no kind of job 'zzz'; known are fetch, solve",
        ),
        (
            (MAIN, WorkerEntry("own", kinds=("fetch",))),
            (
                "worker own: fetch has pool io and would run one at a time; move it to the `kinds` of a worker of pool "
                "threads"
            ),
        ),
        (
            (MAIN, IO, WorkerEntry("own", WorkerPool.THREADS, kinds=("solve",))),
            (
                "worker own: solve has pool main and would run at the same time as other jobs; declare it with "
                '@task(pool="io"), or move it to the `kinds` of a worker of pool main'
            ),
        ),
        (
            (MAIN, IO, WorkerEntry("own", classes=(Power.SURPLUS,), kinds=("solve",))),
            (
                "no worker takes solve at power class normal: worker own does not list it in `classes`; add the "
                "class to the `classes` of a worker"
            ),
        ),
        (
            (WorkerEntry("other"), IO),
            (
                "worker.name main is not in `workers`, so edge-worker.service would take all kinds of pool main; set "
                "worker.name to one of other, io"
            ),
        ),
    ],
)
def test_each_gap_is_one_sentence_with_its_cure(workers: tuple[WorkerEntry, ...], sentence: str) -> None:
    """Each gap leads to this one sentence, and to no other."""
    assert found(*workers) == (sentence,)


def test_a_module_that_cannot_be_imported_accuses_nobody() -> None:
    """A kind that is not found may be in the module that could not be imported, so it is not reported."""
    assert (
        found(MAIN, IO, WorkerEntry("own", kinds=("zzz",)), kinds=Catalogue(KINDS.tasks, {"zoo": "SyntaxError"})) == ()
    )
