"""The tree of a job: the jobs that its body spawned, those that they spawned, and so on, each with its state."""

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
        output.document(_nested(client, root))
        return
    for text in _lines(client, root, first="", rest=""):
        click.echo(text)


def children_line(job: JobView) -> str:
    """How many jobs `job` has spawned, and in which states they are; empty for none."""
    if not job.children:
        return ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(job.children.items()))
    return f"{sum(job.children.values())}: {states}"


def _lines(client: Client, job: JobView | str, *, first: str, rest: str) -> Iterator[str]:
    """The line of a job behind `first`, then those of its children behind `rest`."""
    if isinstance(job, str):
        yield f"{first}{job} removed"
        return
    error = f" {job.error}" if job.error else ""
    told = f" (children: {children_line(job)})" if job.children else ""
    deep = len(rest) // 3 >= _LEVELS
    yield first + output.line(f"{job.id} {job.task} {job.state}{told}{error}", width=_WIDTH)
    if not job.children or deep:
        return
    before: JobView | str | None = None
    for child in client.children(job.id):
        if before is not None:
            yield from _lines(client, before, first=f"{rest}├─ ", rest=f"{rest}│  ")
        before = child
    if before is not None:
        yield from _lines(client, before, first=f"{rest}└─ ", rest=f"{rest}   ")


def _nested(client: Client, job: JobView | str, level: int = 0) -> JsonObject:
    """A job as JSON shows it, with its children as a list in `tree`."""
    import msgspec  # only for --json

    if isinstance(job, str):
        return {"id": job, "state": "removed"}
    shown: JsonObject = msgspec.to_builtins(job)
    if job.children and level < _LEVELS:
        shown["tree"] = [_nested(client, child, level + 1) for child in client.children(job.id)]
    return shown
