"""``manage.py new-job``: the beginnings of a job."""

from pathlib import Path

import click

from app.new_job import NewJob, NewJobError, write_job

ROOT = Path(__file__).parents[2]

_SUBMIT = ".venv/bin/python manage.py jobs submit"


@click.command("new-job")
@click.argument("name")
@click.option("--describe", metavar="TEXT", help="What clients read: one sentence.")
@click.option("--queue", help="Where its jobs wait; the default queue without it.")
def new_job(name: str, describe: str | None, queue: str | None) -> None:
    """Write the job NAME, such as greetings.greet_all: schema, service, task and a test, which pass as they are."""
    try:
        job = NewJob.named(name, description=describe, queue=queue)
        package, test = write_job(ROOT, job)
    except NewJobError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"1. Edit {package}: schemas.py says what {name} takes, services.py what it does.")
    click.echo(f"2. Test it: make test TESTS={test}")
    click.echo(f'3. Start make run again, and: {_SUBMIT} {name} \'items=["bolt", "nut"]\' --wait')
