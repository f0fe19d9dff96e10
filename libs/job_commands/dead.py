"""``jobs dead``: failed jobs that nobody has run again or dropped."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice

import click

from libs.job_client import DeadLetter, DeadLetterOutcome
from libs.job_commands import options
from libs.job_commands.completing import complete_task
from libs.job_commands.outcomes import ExitCode
from libs.job_commands.server import server_of
from libs.job_commands.showing import print_json
from libs.job_commands.words import Moment

_HELP = """Failed jobs that nobody has run again or dropped: your own, or everybody's for an admin.

With --direct, on Redis itself: for operators, without a server or a key; messages that nobody can read as well.
"""


class _DeadGroup(click.Group):
    """Over HTTP, or with ``--direct`` the group of the same commands that works on Redis."""

    direct: Callable[[], click.Group]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Of the one that is wanted."""
        return self.direct().get_command(ctx, name) if ctx.params.get("direct") else super().get_command(ctx, name)


def make_dead(direct: Callable[[], click.Group]) -> click.Group:
    """The group; ``direct`` gives the one that works on Redis."""
    flag = click.Option(["--direct"], is_flag=True, help="On Redis itself.")
    group = _DeadGroup("dead", help=_HELP, params=[flag], callback=lambda direct: None)
    group.direct = direct
    for command in (list_dead, retry_dead, drop_dead):
        group.add_command(command)
    return group


_ids = click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...")
_task = click.option("--task", shell_complete=complete_task, help="All of this task.")
_since = click.option("--since", type=Moment(), help="All that failed at that time or later, such as 2h.")


@click.command(name="list")
@click.option("--task", shell_complete=complete_task, help="Only jobs of this task.")
@click.option("--since", type=Moment(), help="Failed at that time or later, such as 2h.")
@click.option("--owner", help="Somebody else's, for admins.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="The newest so many.")
@options.as_json
@click.pass_context
def list_dead(
    ctx: click.Context, task: str | None, since: datetime | None, owner: str | None, limit: int, as_json: bool
) -> None:
    """List them, the newest failure first. With --json, one a line."""
    with server_of(ctx).client() as client:
        for letter in islice(client.dead_letters(task=task, since=since, owner=owner), limit):
            print_json(_fields(letter)) if as_json else click.echo(_line(letter))


@click.command(name="retry")
@_ids
@_task
@_since
@options.as_json
@click.pass_context
def retry_dead(
    ctx: click.Context, task_ids: tuple[str, ...], task: str | None, since: datetime | None, as_json: bool
) -> None:
    """Run them again, each once; prints the old id and the new one."""
    _check(task_ids, task, since)
    with server_of(ctx).client() as client:
        _show(ctx, client.retry_dead(task_ids, task=task, since=since), as_json=as_json)


@click.command(name="drop")
@_ids
@_task
@_since
@options.as_json
@click.pass_context
def drop_dead(
    ctx: click.Context, task_ids: tuple[str, ...], task: str | None, since: datetime | None, as_json: bool
) -> None:
    """Take them off the list. Jobs keep their state and their error."""
    _check(task_ids, task, since)
    with server_of(ctx).client() as client:
        _show(ctx, client.drop_dead(task_ids, task=task, since=since), as_json=as_json)


def _check(task_ids: Sequence[str], task: str | None, since: datetime | None) -> None:
    if bool(task_ids) == bool(task or since):
        raise click.UsageError("Name the jobs, or say which with --task or --since.")


def _show(ctx: click.Context, outcomes: Sequence[DeadLetterOutcome], *, as_json: bool) -> None:
    for outcome in outcomes:
        problem = None if outcome.problem is None else str(outcome.problem)
        if as_json:
            fields = {"task_id": outcome.task_id, "retried_as": outcome.retried_as, "dropped": outcome.dropped}
            print_json(fields | {"problem": problem})
        else:
            click.echo(f"{outcome.task_id}  {problem or outcome.retried_as or ''}".rstrip(), err=problem is not None)
    if any(outcome.problem for outcome in outcomes):
        ctx.exit(ExitCode.FAILED)


def _fields(letter: DeadLetter) -> dict[str, object]:
    names = ("task_id", "task", "owner", "queue", "failed_at")
    return {name: getattr(letter, name) for name in names} | {"error": letter.error and str(letter.error)}


def _line(letter: DeadLetter) -> str:
    reason = " ".join(str(letter.error or "").split())
    return f"{letter.task_id}  {letter.failed_at:%Y-%m-%dT%H:%M:%SZ}  {letter.task} of {letter.owner}  {reason}"
