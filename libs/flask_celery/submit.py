"""Submitting a job: validate, publish, and say what was accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.utils import uuid
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.flask_celery.errors import BrokerUnavailableError
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.jobs import job_spec
from libs.flask_celery.states import JobState

#: What kombu and redis-py raise when the server is away or silent.
UNAVAILABLE = (OperationalError, RedisConnectionError, RedisTimeoutError)


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """What the submitter is told: the job is stored and will run."""

    task_id: str
    task: str
    state: JobState
    submitted_at: datetime


def submit(celery_app: Celery, task: str, body: Mapping[str, Any], **options: Any) -> SubmittedJob:
    """Accept one job for the caller in ``g`` (see ``facts``). One round trip to Redis, all or nothing.

    Args:
        task: the name of a task declared with ``@job``.
        body: its params as JSON.
        options: publish options of ``Task.apply_async``.

    Raises: UnknownTaskError, InvalidParamsError: nothing was published.
        BrokerUnavailableError: no answer in time; the job may have been accepted if only the reply was lost.
    """
    spec = job_spec(celery_app, task)
    spec.load_body(body)
    task_id = uuid()
    facts = SubmissionFacts.of_caller()
    try:
        # argsrepr and kwargsrepr go to logs and events of whoever watches the broker; params are the client's data.
        celery_app.tasks[task].apply_async(
            # As the client sent it: the worker loads it with the same schema. Dumping what was loaded would lose
            # what a schema only loads.
            kwargs=dict(body),
            task_id=task_id,
            argsrepr="()",
            kwargsrepr="{…}",
            headers={HEADER: facts.to_header()},
            **options,
        )
    except UNAVAILABLE as error:
        raise BrokerUnavailableError("The job queue did not answer in time.") from error
    submitted_at = datetime.fromtimestamp(facts.submitted_at / 1000, tz=UTC)
    return SubmittedJob(task_id, task, JobState.PENDING, submitted_at)
