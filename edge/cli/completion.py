"""`edge completion`: the shell's Tab key knows commands, options, task names and job ids."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from edge.cli.session import Session
from edge.core.errors import given


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
    kind = given(get_completion_class(shell), f"click's completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "edge", "_EDGE_COMPLETE").source())


def job_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest jobs whose id begins so; none when the gateway does not answer at once."""
    try:
        with _session(ctx).client(quick=True) as client:
            jobs = list(client.list(limit=50))
    except Exception:  # a Tab shows no errors, whatever they are
        return []
    return [CompletionItem(job.id, help=f"{job.task} {job.state}") for job in jobs if job.id.startswith(incomplete)]


def task_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The kinds of job whose name begins so; none when the gateway does not answer at once."""
    try:
        with _session(ctx).client(quick=True) as client:
            tasks = client.tasks().tasks
    except Exception:  # a Tab shows no errors, whatever they are
        return []
    return [CompletionItem(task.name, help=task.summary) for task in tasks if task.name.startswith(incomplete)]


def _session(ctx: click.Context) -> Session:
    """What the line says so far; click completes without running `edge` itself."""
    root = ctx.find_root().params
    return Session(url=root.get("url"), token_file=root.get("token_file"))
