"""What shells complete: names of tasks and of their params, as the server tells them, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from libs.job_client import JobClientError, Task
from libs.job_commands.server import server_of


def complete_task(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """With what each does."""
    return [CompletionItem(task.name, help=task.summary) for task in _tasks(ctx) if task.name.startswith(begun)]


def complete_param(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """``name=`` of those that are not said yet."""
    said = {word.partition("=")[0] for word in ctx.params.get("words") or ()}
    names = [
        name for task in _tasks(ctx) if task.name == ctx.params.get("task") for name in task.params["properties"]
    ]
    return [CompletionItem(f"{name}=") for name in names if name not in said and name.startswith(begun)]


def _tasks(ctx: click.Context) -> Sequence[Task]:
    try:
        with server_of(ctx).client(patience=0) as client:
            return client.tasks()
    except (JobClientError, click.UsageError, KeyError, OSError):
        return ()
