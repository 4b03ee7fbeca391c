"""Jobs that run after others: when one may run, when it never will, and in which order a graph is taken in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from edge.model import JobState

#: Outcome of a job that is not there: it was never known, or its row and its result are gone.
GONE = "gone"


class Edge(msgspec.Struct, frozen=True):
    """One job that another one waits for."""

    parent: str
    outcome: str = ""  # a final state, or `GONE`; empty: it has not ended
    anyway: bool = False  # the job that waits runs even if this one does not succeed

    @property
    def hinders(self) -> bool:
        """True when the job that waits can never run."""
        return self.outcome == GONE or (not self.anyway and self.outcome not in ("", JobState.SUCCEEDED))


def hindrance(edges: Iterable[Edge]) -> Edge | None:
    """Return the first edge because of which the job can never run; None: it may still run."""
    return next((edge for edge in edges if edge.hinders), None)


def still_open(edges: Iterable[Edge]) -> bool:
    """True when the job has to wait for one of these, and none hinders it."""
    edges = list(edges)
    return hindrance(edges) is None and not all(edge.outcome for edge in edges)


def may_run(edges: Iterable[Edge]) -> bool:
    """True when all that the job waits for has ended, and none of it hinders."""
    return all(edge.outcome and not edge.hinders for edge in edges)


def order(parents: Mapping[int, Sequence[int]]) -> tuple[list[int], list[int]]:
    """Sort the numbers of a graph so that each comes after its parents.

    Args:
        parents: for each number those that it comes after; numbers that are no key are not part of the graph.

    Returns:
        The sorted numbers, and those that are in a circle or after one.
    """
    left = {number: {each for each in before if each in parents} for number, before in parents.items()}
    children: dict[int, list[int]] = {}
    for number, before in left.items():
        for each in before:
            children.setdefault(each, []).append(number)
    ready = [number for number, before in left.items() if not before]
    done = list[int]()
    while ready:
        following = list[int]()
        for number in ready:
            done.append(number)
            for child in children.get(number, ()):
                left[child].discard(number)
                if not left[child]:
                    following.append(child)
        ready = following
    return done, sorted(left.keys() - set(done))
