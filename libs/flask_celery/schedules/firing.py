"""Submitting the job of a schedule, in its owner's name.

The task id of a due time is made from the schedule and that time, and a task id names one job: whoever publishes it
again, a beat that was killed before it could write down that it had, or two beats at once, publishes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from celery.utils import uuid
from flask import g, has_app_context

from libs.flask_celery.acceptance import under_terms
from libs.flask_celery.errors import UnknownJobError
from libs.flask_celery.facts import HEADER, HIDDEN, SubmissionFacts
from libs.flask_celery.jobs import job_spec
from libs.flask_celery.schedules.schedule import Schedule, ScheduleSource
from libs.flask_celery.states import JobState
from libs.flask_celery.submit import SubmittedJob, submitted_earlier
from libs.flask_celery.unique import AlreadyRunningError

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Of the names that task ids are made from.
_NAMESPACE = UUID("6f1f0c0e-7a52-4f39-9f0e-2f6f8f1f6c51")


def due_task_id(celery_app: "FlaskCelery", schedule_id: str, due: int) -> str:
    """The id of the job that a schedule submits for a due time (ms)."""
    return str(uuid5(_NAMESPACE, f"due\n{celery_app.queue_names.deployment}\n{schedule_id}\n{due}"))


def submit_due(celery_app: "FlaskCelery", schedule: Schedule, due: int) -> str:
    """Submit the job of a due time (ms), unless that was done before. Returns: its task id.

    Of a unique task it is the job under way, if there is one. A schedule in code may name a task that is not known
    here, and has no limits, as with Celery.
    Raises: UnknownTaskError, InvalidParamsError, QueueFullError, OwnerLimitError, BrokerUnavailableError's causes.
    """
    task_id = due_task_id(celery_app, schedule.id, due)
    try:
        _publish(celery_app, schedule, task_id, due)
    except AlreadyRunningError as running:
        return running.task_id
    return task_id


def run_now(
    celery_app: "FlaskCelery", schedule: Schedule, *, by: str, idempotency_key: str | None = None
) -> SubmittedJob:
    """Submit the schedule's job once more, whatever its due times are.

    Args:
        by: who asks.
        idempotency_key: their name for this. Said again it is the same job.

    Raises: as :func:`submit_due`; ExpiredJobError when the key's job is over and its result has expired.
    """
    task_id: str = uuid()
    if idempotency_key is not None:
        task_id = str(uuid5(_NAMESPACE, f"now\n{schedule.id}\n{by}\n{idempotency_key}"))
        try:
            earlier = celery_app.backend.records.get(task_id)
            submitted_at = earlier.submitted_at or datetime.now(UTC)
            return SubmittedJob(task_id, schedule.task, earlier.state, submitted_at, replayed=True)
        except UnknownJobError:
            pass  # the first time
    try:
        submitted_at = _publish(celery_app, schedule, task_id)
    except AlreadyRunningError as running:
        return submitted_earlier(celery_app, schedule.task, running)
    return SubmittedJob(task_id, schedule.task, JobState.PENDING, submitted_at)


def _publish(celery_app: "FlaskCelery", schedule: Schedule, task_id: str, due: int | None = None) -> datetime:
    of_api = schedule.source is ScheduleSource.API
    task = celery_app.tasks.get(schedule.task)
    with _in_name_of(celery_app, schedule.owner):
        spec = job_spec(celery_app, schedule.task) if of_api else getattr(task, "job_spec", None)
        if spec is not None:
            spec.load(schedule.args, schedule.params)
        facts = replace(SubmissionFacts.of_caller(), schedule_id=schedule.id, due_at=due)
        options = dict(schedule.options)
        headers = {**options.pop("headers", {}), HEADER: facts.to_header(), "celery_beat_task": True}
        if of_api:
            options |= HIDDEN
        with under_terms(celery_app.terms) if of_api else nullcontext():
            publish = celery_app.send_task if task is None else task.apply_async
            names = (schedule.task,) if task is None else ()
            publish(*names, schedule.args, dict(schedule.params), task_id=task_id, headers=headers, **options)
    return datetime.fromtimestamp(facts.submitted_at / 1000, tz=UTC)


@contextmanager
def _in_name_of(celery_app: "FlaskCelery", owner: str) -> Iterator[None]:
    """In an app context whose principal is ``owner``: fields of params may ask for it."""
    with nullcontext() if has_app_context() else celery_app.flask_app.app_context():
        before, webhook = g.get("principal"), g.get("webhook")
        g.principal, g.webhook = owner, webhook if before == owner else None
        try:
            yield
        finally:
            g.principal, g.webhook = before, webhook
