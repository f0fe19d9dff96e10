"""Submitting a job: validate, publish under the service's terms, and say what was accepted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from libs.flask_celery.acceptance import SubmissionTerms, under_terms
from libs.flask_celery.errors import AlreadySubmittedError, BrokerUnavailableError
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.gate import UNAVAILABLE
from libs.flask_celery.jobs import job_spec
from libs.flask_celery.publishing import publish_job
from libs.flask_celery.random_uuids import random_uuid
from libs.flask_celery.states import JobState
from libs.flask_celery.tracing import traced
from libs.flask_celery.unique import AlreadyRunningError

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """What the submitter is told: the job is stored and will run."""

    task_id: str
    task: str
    state: JobState
    submitted_at: datetime
    replayed: bool = False  # accepted earlier, under the same idempotency key
    already_running: bool = False  # another one, of a task that is unique


@traced
def submit(
    celery_app: "FlaskCelery",
    task: str,
    body: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    content: Any = None,
    cancel_after: float | None = None,
    **options: Any,
) -> SubmittedJob:
    """Accept one job for the caller in ``g`` (see ``facts``). One round trip to Redis, all or nothing.

    Args:
        task: the name of a task declared with ``@job``.
        body: its params as JSON.
        idempotency_key: the caller's name for this submission. Said again with the same content it is the same job.
        content: what the caller has said beside the body, which must be the same under the same key.
        cancel_after: seconds after which the job is cancelled when it has not ended.
        options: publish options of ``Task.apply_async``.

    Raises: UnknownTaskError, InvalidParamsError, IdempotencyConflictError, OccupiedTaskError, QueueFullError,
            OwnerLimitError: nothing was published.
        ExpiredJobError: the idempotency key's job is over and its result has expired.
        BrokerUnavailableError: no answer in time; the job may have been accepted if only the reply was lost.
    """
    spec = job_spec(celery_app, task)
    spec.load_body(body)
    task_id = random_uuid()
    facts = SubmissionFacts.of_caller()
    if cancel_after is not None:
        facts = replace(facts, deadline=facts.submitted_at + round(cancel_after * 1000))
    terms = with_key(celery_app.terms, facts.owner, idempotency_key, [task, body, content])
    try:
        published = celery_app.direct.publish(celery_app.tasks[task], body, task_id, facts, terms, options)
        if not published:
            with under_terms(terms):
                publish_job(celery_app.tasks[task], body, task_id, facts, **options)
    except AlreadySubmittedError as earlier:
        return submitted_earlier(celery_app, task, earlier)
    except UNAVAILABLE as error:
        raise BrokerUnavailableError("The job queue did not answer in time.") from error
    return SubmittedJob(task_id, task, JobState.PENDING, time_of(facts.submitted_at))


def with_key(terms: SubmissionTerms, owner: str, key: str | None, submission: Any) -> SubmissionTerms:
    """The terms for what ``owner`` submits under an idempotency key, or under none."""
    if key is None:
        return terms
    fingerprint = digest(json.dumps(submission, sort_keys=True, default=str))
    return replace(terms, idempotency=digest(f"{owner}\n{key}"), fingerprint=fingerprint)


def submitted_earlier(celery_app: "FlaskCelery", task: str, earlier: AlreadySubmittedError) -> SubmittedJob:
    """The job of an idempotency key, or the one that is under way of a unique task, as it is now.

    Raises: ExpiredJobError, BrokerUnavailableError.
    """
    try:
        record = celery_app.backend.records.get(earlier.task_id)
    except UNAVAILABLE as error:
        raise BrokerUnavailableError("The job queue did not answer in time.") from error
    running = isinstance(earlier, AlreadyRunningError)
    submitted_at = record.submitted_at or datetime.now(UTC)
    return SubmittedJob(
        earlier.task_id, task, record.state, submitted_at, replayed=not running, already_running=running
    )


def digest(text: str) -> str:
    """Short enough for a key's name in Redis, too long to be met by chance."""
    return sha256(text.encode()).hexdigest()[:40]


def time_of(milliseconds: int) -> datetime:
    """Unix time in milliseconds as a time."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
