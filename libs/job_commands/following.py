"""``jobs watch`` and ``jobs logs``: what becomes of a job, as it happens."""

import click

from libs.job_client import Job, LogEvent
from libs.job_commands import options
from libs.job_commands.outcomes import exit_code_of
from libs.job_commands.server import server_of
from libs.job_commands.showing import Watching, event_fields, log_fields, log_line, print_json, print_result


@click.command()
@options.task_id
@click.option("--from-start", is_flag=True, help="What has been already, too.")
@options.as_json
@click.pass_context
def watch(ctx: click.Context, task_id: str, from_start: bool, as_json: bool) -> None:
    """Follow a job to its end, then print its result. With --json, an event a line."""
    with server_of(ctx).client() as client:
        job = client.job(task_id)
        after = 0 if from_start else None
        if as_json:
            for event in job.events(after):
                print_json(event_fields(event))
            ctx.exit(exit_code_of(job.status()))
        with Watching(job) as watching:
            for event in job.events(after):
                watching.show(event)
        show_end(ctx, job, timeout=None, as_json=False)


@click.command()
@options.task_id
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
@options.as_json
@click.pass_context
def logs(ctx: click.Context, task_id: str, follow: bool, as_json: bool) -> None:
    """Print the lines that a job has logged. With --json, a line each."""
    with server_of(ctx).client() as client:
        job = client.job(task_id)
        last = 0
        for line in job.logs():
            last = line.number
            print_json(log_fields(line)) if as_json else click.echo(log_line(line))
        if not follow:
            return
        for event in job.events(after=0):
            if isinstance(event, LogEvent) and event.line.number > last:
                print_json(log_fields(event.line)) if as_json else click.echo(log_line(event.line))


def show_end(ctx: click.Context, job: Job, *, timeout: float | None, as_json: bool) -> None:
    """Wait for the job's end, with a bar for who watches, and print what came of it. Exits as its state says."""
    if as_json:
        ended = job.wait(timeout)
        print_json(ended.as_json)
        ctx.exit(exit_code_of(ended))
    with Watching(job) as watching:
        ended = job.wait(timeout, on_progress=watching.progress)
    if not ended.successful:
        click.echo(f"{ended.state_label}: {ended.error or ended.task_id}", err=True)
        ctx.exit(exit_code_of(ended))
    print_result(ended)
