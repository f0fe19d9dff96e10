"""``manage.py jobs dead --direct`` and ``jobs quarantine``: what has failed for good, and what waits for a worker
that knows its task, on Redis itself. For operators, who need no key and no API for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import current_app
from flask.cli import AppGroup

from libs.flask_celery import (
    UNAVAILABLE,
    DeadLetter,
    DeadLetters,
    FlaskCeleryError,
    quarantined,
    release_from_quarantine,
)

dead = AppGroup("dead", help="Jobs that failed for good, and messages nobody can read.")
quarantine = AppGroup("quarantine", help="Jobs whose task no worker of their queue knows.")


@dead.command(name="list")
@click.option("--task", help="Only jobs of this task.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
def list_dead(task: str | None, limit: int) -> None:
    """Show the dead letters, newest first."""
    with _redis():
        for letter in _letters().newest(limit, task=task):
            click.echo(_line(letter))


@dead.command(name="retry")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every failed job, or every one of --task.")
@click.option("--task", help="With --all: only jobs of this task.")
def retry_dead(ids: tuple[str, ...], everything: bool, task: str | None) -> None:
    """Run failed jobs again, each as a new job for the same owner; prints the old id and the new one."""
    failures = 0
    with _redis():
        letters = _letters()
        for letter_id in _chosen(letters, ids, everything, task):
            try:
                click.echo(f"{letter_id}  {letters.retry(letter_id).task_id}")
            except FlaskCeleryError as error:
                failures += 1
                click.echo(f"{letter_id}  {error}", err=True)
    if failures:
        raise click.ClickException(f"{failures} could not be run again.")


@dead.command(name="drop")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything, or every job of --task.")
@click.option("--task", help="With --all: only jobs of this task.")
def drop_dead(ids: tuple[str, ...], everything: bool, task: str | None) -> None:
    """Take dead letters off the list. Jobs keep their state and their error."""
    with _redis():
        letters = _letters()
        unknown = [letter_id for letter_id in _chosen(letters, ids, everything, task) if not letters.drop(letter_id)]
    if unknown:
        raise click.ClickException(
            f"Not on the list: {', '.join(unknown)}. manage.py jobs dead --direct list shows it."
        )


@quarantine.command(name="list")
def list_quarantine() -> None:
    """Show how many jobs wait, by queue and task."""
    with _redis():
        for (queue, task), count in quarantined(current_app.extensions["celery"]).items():
            click.echo(f"{count}  {task}  in queue {queue}")


@quarantine.command(name="release")
@click.option("--task", help="Only jobs of this task.")
def release_quarantine(task: str | None) -> None:
    """Put them back in their queues. Workers do so by themselves once one of the queue knows the task."""
    with _redis():
        click.echo(f"{release_from_quarantine(current_app.extensions['celery'], task=task)} put back.")


def _letters() -> DeadLetters:
    return DeadLetters(current_app.extensions["celery"])


def _chosen(letters: DeadLetters, ids: tuple[str, ...], everything: bool, task: str | None) -> list[str]:
    if everything == bool(ids) or (task and not everything):
        raise click.UsageError("Name the jobs, or give --all, with --task if you like.")
    return list(ids) or [letter.id for letter in letters.newest(100_000, task=task)]


def _line(letter: DeadLetter) -> str:
    what = letter.task or "a message that cannot be read"
    owner = f" of {letter.owner}" if letter.owner else ""
    # Of one line, whatever the error's text is.
    reason = " ".join(letter.reason.split())
    return f"{letter.id}  {letter.failed_at:%Y-%m-%dT%H:%M:%SZ}  {what}{owner}  {reason}"


@contextmanager
def _redis() -> Iterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise click.ClickException(f"Redis does not answer: {type(error).__name__}. Is REDIS_URL right?") from error
