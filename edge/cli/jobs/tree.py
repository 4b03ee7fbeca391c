"""Shows the tree of a job: the jobs that it spawned and those that run after it, and so on, each with its state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from edge.cli import output

if TYPE_CHECKING:
    from edge.client import Client
    from edge.core.values import JsonObject
    from edge.wire import JobView

_WIDTH = 160
#: The largest depth of a tree that is shown. Jobs that spawn their successors can make deep trees. Below this depth a
#: job is shown with the number of its children only.
_LEVELS = 100


def show_tree(client: Client, root: JobView, *, as_json: bool) -> None:
    """Show the tree of `root`: a line for each job as soon as it is known, or one JSON document."""
    if as_json:
        output.document(_nested(client, root, set()))
        return
    for text in _lines(client, root, set(), mark="", first="", rest=""):
        click.echo(text)


def children_line(job: JobView) -> str:
    """Return the number of jobs that `job` has spawned, with their states, or an empty text if there are none."""
    if not job.children:
        return ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(job.children.items()))
    return f"{sum(job.children.values())}: {states}"


def _lines(client: Client, job: JobView | str, shown: set[str], *, mark: str, first: str, rest: str) -> Iterator[str]:
    """Yield the line of a job and the lines of its tree.

    Args:
        client: used to list children and followers.
        job: the job; only its id if it was removed.
        shown: ids of jobs whose tree has been shown, which is not shown again; this function updates it.
        mark: text between `first` and the job, such as "then ".
        first: branches of the tree before the line of the job.
        rest: branches of the tree before the lines below it.
    """
    if isinstance(job, str):
        yield f"{first}{job} removed"
        return
    error = f" {job.error}" if job.error else ""
    children = f" (children: {children_line(job)})" if job.children else ""
    deep = len(rest) // 3 >= _LEVELS
    again = job.id in shown and bool(job.children or job.followers)
    text = f"{job.id} {job.task} {job.state}{children}{error}{' (see above)' if again else ''}"
    yield first + output.line(f"{mark}{text}", width=_WIDTH)
    if deep or again:
        return
    shown.add(job.id)
    before: tuple[JobView | str, str] | None = None
    for child in _below(client, job):
        if before is not None:
            yield from _lines(client, before[0], shown, mark=before[1], first=f"{rest}├─ ", rest=f"{rest}│  ")
        before = child
    if before is not None:
        yield from _lines(client, before[0], shown, mark=before[1], first=f"{rest}└─ ", rest=f"{rest}   ")


def _below(client: Client, job: JobView) -> Iterator[tuple[JobView | str, str]]:
    """Yield the jobs that `job` spawned, then those that run after it, each with its `mark` for the line."""
    if job.children:
        yield from ((child, "") for child in client.children(job.id))
    if job.followers:
        yield from ((follower, "then ") for follower in client.followers(job.id))


def _nested(client: Client, job: JobView | str, seen: set[str], level: int = 0) -> JsonObject:
    """Return a job as JSON, with its children in `tree`, and the jobs that run after it in `then`.

    `then` is left out if the same job comes a second time, because its id is in `seen`.
    """
    import msgspec  # only loaded for --json

    if isinstance(job, str):
        return {"id": job, "state": "removed"}
    shown: JsonObject = msgspec.to_builtins(job)
    first = job.id not in seen
    seen.add(job.id)
    if job.children and level < _LEVELS:
        shown["tree"] = [_nested(client, child, seen, level + 1) for child in client.children(job.id)]
    if job.followers and level < _LEVELS and first:
        shown["then"] = [_nested(client, follower, seen, level + 1) for follower in client.followers(job.id)]
    return shown
