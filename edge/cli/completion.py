"""`edge completion`, with which the shell's Tab key completes commands, options, names of tasks and ids of jobs."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from edge.cli.session import Session
from edge.core.errors import not_none


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(edge completion bash)"                 in ~/.bashrc
    zsh:   eval "$(edge completion zsh)"                  in ~/.zshrc
    fish:  edge completion fish > ~/.config/fish/completions/edge.fish
    """
    kind = not_none(get_completion_class(shell), f"click's completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "edge", "_EDGE_COMPLETE").source())


def job_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the newest jobs whose id begins with `incomplete`, or nothing if the gateway does not answer at once."""
    try:
        with _session(ctx).client(quick=True) as client:
            jobs = list(client.list(limit=50))
    except Exception:  # the Tab key must never print an error
        return []
    return [CompletionItem(job.id, help=f"{job.task} {job.state}") for job in jobs if job.id.startswith(incomplete)]


def task_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the kinds whose name begins with `incomplete`, or nothing if the gateway does not answer at once."""
    try:
        with _session(ctx).client(quick=True) as client:
            tasks = client.tasks().tasks
    except Exception:  # the Tab key must never print an error
        return []
    return [CompletionItem(task.name, help=task.summary) for task in tasks if task.name.startswith(incomplete)]


def _session(ctx: click.Context) -> Session:
    """Return a session with the options on the line so far, because click completes without running `edge` itself."""
    root = ctx.find_root().params
    return Session(url=root.get("url"), token_file=root.get("token_file"))
