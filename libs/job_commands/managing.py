"""``jobs list``, ``cancel``, ``retry`` and ``result``."""

from datetime import datetime
from itertools import islice
from pathlib import Path

import click

from libs.job_client import JobClientError, JobState, ResultTimeoutError
from libs.job_commands import options
from libs.job_commands.completing import complete_task
from libs.job_commands.following import show_end
from libs.job_commands.outcomes import ExitCode
from libs.job_commands.server import server_of
from libs.job_commands.showing import job_line, print_json
from libs.job_commands.submitting import print_submission
from libs.job_commands.words import Moment


@click.command(name="list")
@click.option("--task", shell_complete=complete_task, help="Only jobs of this task.")
@click.option("--state", multiple=True, type=click.Choice(list(JobState)), help="Once for each state.")
@click.option("--since", type=Moment(), help="Submitted at that time or later, such as 2h.")
@click.option("--owner", help="Somebody else's, for admins.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@options.as_json
@click.pass_context
def list_jobs(
    ctx: click.Context,
    task: str | None,
    state: tuple[JobState, ...],
    since: datetime | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List your jobs, the newest first. With --json, a job a line."""
    with server_of(ctx).client() as client:
        found = client.jobs(task=task, state=state or None, since=since, owner=owner)
        for job in islice(found, limit):
            print_json(job.as_json) if as_json else click.echo(job_line(job))


@click.command()
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK_ID...")
@options.terminate
@options.as_json
@click.pass_context
def cancel(ctx: click.Context, task_ids: tuple[str, ...], terminate: bool, as_json: bool) -> None:
    """Cancel jobs: at once what waits; what runs is asked to stop. With --json, a job a line."""
    with server_of(ctx).client() as client:
        failures: list[JobClientError] = []
        for task_id in task_ids:
            try:
                job = client.job(task_id).cancel(terminate=terminate)
            except JobClientError as error:
                failures.append(error)
                if len(task_ids) > 1:
                    click.echo(f"{task_id}: {error}", err=True)
                continue
            print_json(job.as_json) if as_json else click.echo(job_line(job))
        if failures and len(task_ids) == 1:
            raise failures[0]
        if failures:
            ctx.exit(ExitCode.FAILED)


@click.command()
@options.task_id
@options.wait
@options.timeout
@click.option("--idempotency-key", metavar="KEY", help="Your name for this retry.")
@options.as_json
@click.pass_context
def retry(
    ctx: click.Context, task_id: str, wait: bool, timeout: float | None, idempotency_key: str | None, as_json: bool
) -> None:
    """Run a job again that has ended, as a new one, and print that one's id."""
    with server_of(ctx).client() as client:
        job = client.job(task_id).retry(idempotency_key=idempotency_key)
        if wait:
            show_end(ctx, job, timeout=timeout, as_json=as_json)
        else:
            print_submission(job, as_json=as_json)


@click.command()
@options.task_id
@click.option("--wait", is_flag=True, help="Wait for its end.")
@options.timeout
@click.option(
    "--files", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where to put its files."
)
@options.as_json
@click.pass_context
def result(
    ctx: click.Context, task_id: str, wait: bool, timeout: float | None, files: Path | None, as_json: bool
) -> None:
    """Print what a job has returned; with --json the whole job, ended or not."""
    with server_of(ctx).client() as client:
        job = client.job(task_id)
        now = job.wait(timeout) if wait else job.status()
        if files is not None:
            for file in now.files:
                name = Path(file.name).name
                click.echo(f"{files / name}: {job.download(file.name, files / name)} bytes", err=True)
        if as_json and not now.ready:
            print_json(now.as_json)
            ctx.exit(ExitCode.UNFINISHED)
        if not now.ready:
            raise ResultTimeoutError(f"{now.task} {task_id}", 0.0, now)
        show_end(ctx, job, timeout=None, as_json=as_json)
