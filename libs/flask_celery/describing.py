"""What there is to know of a job before it is submitted, settings and routes of the Celery app included."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from libs.flask_celery.jobs import JobSpec

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What bounds a job; None where nothing does. Times in seconds."""

    time_limit: float | None
    soft_time_limit: float | None
    rate_limit: str | None  # as Celery writes it: "10/m"
    rate_limit_scope: str | None  # whether that is what each "worker" begins, or all of them ("global")
    max_retries: int | None
    queue_limit: int | None  # jobs in its queue
    owner_limit: int | None  # unfinished jobs of one owner


@dataclass(frozen=True, slots=True)
class JobDescription:
    """A job as this app runs it."""

    spec: JobSpec
    queue: str  # where it waits when nobody chooses another one
    queues: tuple[str, ...]  # those to choose from, that one first
    limits: JobLimits


def describe(celery_app: "FlaskCelery", spec: JobSpec) -> JobDescription:
    """The operator's routes and limits are those that this process knows."""
    task, conf, terms = celery_app.tasks[spec.name], celery_app.conf, celery_app.terms
    queue = usual_queue(celery_app, spec.name)
    return JobDescription(
        spec=spec,
        queue=queue,
        queues=tuple(dict.fromkeys([queue, *spec.queues])),
        limits=JobLimits(
            time_limit=task.time_limit or conf.task_time_limit,
            soft_time_limit=task.soft_time_limit or conf.task_soft_time_limit,
            rate_limit=None if task.rate_limit is None else str(task.rate_limit),
            rate_limit_scope=None if task.rate_limit is None else str(task.rate_limit_scope),
            max_retries=task.max_retries,
            queue_limit=terms.queue_limit or None,
            owner_limit=terms.owner_limit or None,
        ),
    )


def usual_queue(celery_app: "FlaskCelery", name: str) -> str:
    """Where a task waits when nobody chooses another queue, by its logical name."""
    amqp: Any = celery_app.amqp
    found = amqp.router.route({}, name, task_type=celery_app.tasks[name]).get("queue")
    physical = getattr(found, "name", found) or celery_app.conf.task_default_queue
    return celery_app.queue_names.logical(str(physical))
