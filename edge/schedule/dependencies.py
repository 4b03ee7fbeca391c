"""Decides when a job that waits for other jobs may run, or that it never will, and sorts a graph of such jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from edge.model import JobState

#: Outcome of a job that does not exist: it was never known, or its row and its result were removed.
GONE = "gone"


class Edge(msgspec.Struct, frozen=True):
    """One job that another one waits for."""

    parent: str
    outcome: str = ""  # a final state, or `GONE`; "" if the parent has not ended
    anyway: bool = False  # the waiting job runs even if the parent does not succeed

    @property
    def hinders(self) -> bool:
        """True if the waiting job can never run because of this parent."""
        return self.outcome == GONE or (not self.anyway and self.outcome not in ("", JobState.SUCCEEDED))


def hindrance(edges: Iterable[Edge]) -> Edge | None:
    """Return the first edge because of which the job can never run, or None if it may still run."""
    return next((edge for edge in edges if edge.hinders), None)


def still_open(edges: Iterable[Edge]) -> bool:
    """Return True if the job must still wait for a parent, and none hinders it."""
    edges = list(edges)
    return hindrance(edges) is None and not all(edge.outcome for edge in edges)


def may_run(edges: Iterable[Edge]) -> bool:
    """Return True if all parents have ended, and none hinders the job."""
    return all(edge.outcome and not edge.hinders for edge in edges)


def order(parents: Mapping[int, Sequence[int]]) -> tuple[list[int], list[int]]:
    """Sort the nodes of a graph so that each comes after its parents.

    Args:
        parents: the parents of each node. Parents that are not keys do not belong to the graph, and are ignored.

    Returns:
        The sorted nodes, and the nodes that are in a cycle or after one.
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
