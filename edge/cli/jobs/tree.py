"""The tree of a job: the jobs that its body spawned and those that run after it, and so on, each with its state."""

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
#: Jobs that spawn their successors make a tree that is deep; what is deeper is shown with its children's numbers.
_LEVELS = 100


def show_tree(client: Client, root: JobView, *, as_json: bool) -> None:
    """Show the tree of `root`: a line a job, as they come; or one document."""
    if as_json:
        output.document(_nested(client, root, set()))
        return
    for text in _lines(client, root, set(), mark="", first="", rest=""):
        click.echo(text)


def children_line(job: JobView) -> str:
    """How many jobs `job` has spawned, and in which states they are; empty for none."""
    if not job.children:
        return ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(job.children.items()))
    return f"{sum(job.children.values())}: {states}"


def _lines(client: Client, job: JobView | str, shown: set[str], *, mark: str, first: str, rest: str) -> Iterator[str]:
    """The line of a job behind `first`, then those below it behind `rest`; what is below one in `shown` is left out."""
    if isinstance(job, str):
        yield f"{first}{job} removed"
        return
    error = f" {job.error}" if job.error else ""
    told = f" (children: {children_line(job)})" if job.children else ""
    deep = len(rest) // 3 >= _LEVELS
    again = job.id in shown and bool(job.children or job.followers)
    text = f"{job.id} {job.task} {job.state}{told}{error}{' (see above)' if again else ''}"
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
    """The jobs that `job` spawned, then those that run after it, each with what is written before it."""
    if job.children:
        yield from ((child, "") for child in client.children(job.id))
    if job.followers:
        yield from ((follower, "then ") for follower in client.followers(job.id))


def _nested(client: Client, job: JobView | str, seen: set[str], level: int = 0) -> JsonObject:
    """A job as JSON shows it, with its children as a list in `tree`, and those that run after it once, in `then`."""
    import msgspec  # only for --json

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
