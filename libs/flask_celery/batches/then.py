"""``then``: the task that runs once when all jobs of a batch are final.

The step that stores the last job's end says that the batch is over and puts it among those whose ``then`` is due, all
at once. Whoever stored it submits the task; should that process be killed, the reconciler does. Its message was made
with the batch and has its task id, so that however many submit it, it is accepted once.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu.exceptions import OperationalError
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from libs.flask_celery.accept_script import KNOWN
from libs.flask_celery.acceptance import SubmissionTerms, under_terms
from libs.flask_celery.errors import InvalidParamsError, UnknownTaskError
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.jobs import job_spec
from libs.flask_celery.message_copy import compacted, expanded
from libs.flask_celery.publishing import publish_job
from libs.flask_celery.transport import OPTION, messages_caught

logger = logging.getLogger(__name__)

#: The param by which the task is told of its batch; whose schema has none cannot be a ``then``.
BATCH_ID = "batch_id"

_AT_ONCE = 100


def watched_as(batch_id: str) -> str:
    """The name by which a batch is watched for changes, as a job is (``WatchHub.watch``).

    ``batches.scripts.NAMES`` publishes under it.
    """
    return f"taskgate-batch-{batch_id}"


@dataclass(frozen=True, slots=True)
class Then:
    """A task and its params, but for ``batch_id``."""

    task: str
    params: Mapping[str, Any] = field(default_factory=dict)


def then_message(celery_app: Any, then: Then, facts: SubmissionFacts, task_id: str) -> str:
    """The copy of the message to be published when the batch in ``facts`` is over.

    Raises: InvalidParamsError.
    """
    try:
        spec = job_spec(celery_app, then.task)
    except UnknownTaskError as error:
        raise InvalidParamsError(then.task, {"then": {"task": ["There is no such task."]}}) from error
    if spec.unique is not None:  # its id is promised, so it cannot be another job instead
        raise InvalidParamsError(then.task, {"then": {"task": ["Is unique, so it cannot be `then`."]}})
    if BATCH_ID not in spec.params().fields:
        raise InvalidParamsError(then.task, {"then": {"task": [f"Takes no {BATCH_ID}, so it cannot be `then`."]}})
    if BATCH_ID in then.params:
        raise InvalidParamsError(then.task, {"then": {"params": {BATCH_ID: ["Is put in when the batch is over."]}}})
    params = {**then.params, BATCH_ID: facts.batch_id}
    try:
        spec.load_body(params)
    except InvalidParamsError as error:
        raise InvalidParamsError(then.task, {"then": {"params": error.messages}}) from error
    with messages_caught() as caught:
        publish_job(celery_app.tasks[then.task], params, task_id, facts)
    [(message, queue)] = caught
    return compacted(message, queue)


def submit_then(celery_app: Any, batch_id: str) -> None:
    """Submit the task of a batch that is over. What fails is left to the reconciler."""
    try:
        _submit(celery_app, batch_id)
    except (RedisError, OperationalError, OSError) as error:
        logger.warning("Batch %s is over; its `then` waits for the reconciler: %r", batch_id, error)
    except Exception:
        # Nor must the job whose end was stored just now be taken for one that failed.
        logger.exception("Batch %s is over; its `then` could not be submitted", batch_id)


def submit_overdue(celery_app: Any) -> list[str]:
    """Submit what others have left. Returns: the ids of the batches."""
    backend = celery_app.backend
    due = [bytes_to_str(batch_id) for batch_id in backend.client.zrange(backend.keys.batches_due, 0, _AT_ONCE - 1)]
    for batch_id in due:
        submit_then(celery_app, batch_id)
    return due


def _submit(celery_app: Any, batch_id: str) -> None:
    backend = celery_app.backend
    copy = backend.client.get(backend.keys.batch_then(batch_id))
    if copy is not None:
        message, queue = expanded(copy)
        # Its time among its owner's jobs is when it can run, not when the batch came.
        message["headers"][HEADER]["submitted_at"] = time.time_ns() // 1_000_000
        # Not whoever has ended the last job, which may be a request of somebody else's.
        told = bytes_to_str(backend.client.hget(backend.keys.batch(batch_id), "webhook") or "")
        with under_terms(SubmissionTerms(webhook=told)):
            _publish(celery_app, message, queue)
    with backend.client.pipeline() as pipe:
        pipe.zrem(backend.keys.batches_due, batch_id)
        pipe.delete(backend.keys.batch_then(batch_id))
        pipe.publish(backend.keys.meta(watched_as(batch_id)), "")
        pipe.execute()


def _publish(celery_app: Any, message: Mapping[str, Any], queue: str) -> None:
    with_push = OPTION in (celery_app.conf.broker_transport_options or {})
    if with_push or celery_app.backend.accept_job(message, queue) != KNOWN:
        celery_app.amqp.publish_copy(message, queue)
        if not with_push:
            celery_app.backend.published(message["headers"]["id"])
