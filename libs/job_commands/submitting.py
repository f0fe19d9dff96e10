"""``jobs submit``."""

from datetime import datetime
from typing import Any, TextIO

import click

from libs.job_client import Job, Options
from libs.job_commands import options
from libs.job_commands.completing import complete_param, complete_task
from libs.job_commands.following import show_end
from libs.job_commands.server import server_of
from libs.job_commands.showing import print_json
from libs.job_commands.words import Expiry, Moment, read_params


@click.command()
@click.argument("task", shell_complete=complete_task)
@click.argument("words", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_param)
@click.option(
    "--params", type=click.File(encoding="utf-8"), help="A JSON object with the params; - for standard input."
)
@options.wait
@options.timeout
@click.option("--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Not before that.")
@click.option("--at", type=Moment(), help="Not before that.")
@click.option("--expires", type=Expiry(), help="Not started by then, it never is.")
@click.option(
    "--cancel-after", type=click.FloatRange(min=1), metavar="SECONDS", help="Not ended by then, it is cancelled."
)
@click.option("--priority", type=click.IntRange(0, 9), help="0 is the most urgent.")
@click.option("--queue", help="One of the task's.")
@click.option("--webhook", metavar="URL", help="Is told of its end.")
@click.option(
    "--idempotency-key", metavar="KEY", help="Your name for this submission: said again it is the same job."
)
@options.as_json
@click.pass_context
def submit(
    ctx: click.Context,
    /,
    task: str,
    words: tuple[str, ...],
    params: TextIO | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Submit a job of TASK and print its id.

    Params are NAME=VALUE: a=1, names='["ann"]', text as it is; NAME=@PATH uploads a file and is its id.
    """
    with server_of(ctx).client() as client:
        job = client.submit(task, Options(**_options(said)), **read_params(client, words, params))
        if wait:
            show_end(ctx, job, timeout=timeout, as_json=as_json)
        else:
            print_submission(job, as_json=as_json)


def print_submission(job: Job, *, as_json: bool) -> None:
    """Its id; for scripts what else is known, without the token."""
    told = job.submission
    if told is None or not as_json:
        click.echo(job.task_id)
        return
    names = ("task_id", "task", "state", "idempotency_key", "replayed", "already_running")
    print_json({name: getattr(told, name) for name in names})


def _options(said: dict[str, float | str | datetime | None]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}
