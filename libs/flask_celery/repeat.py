"""Running a final job again, as a new job that names the old one."""

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from celery.utils import uuid

from libs.flask_celery.acceptance import SubmissionTerms, under_terms
from libs.flask_celery.errors import AlreadySubmittedError, NotRepeatableError, UnfinishedJobError
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.message_copy import body_of, expanded

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


def run_again(celery_app: "FlaskCelery", task_id: str, *, once: bool = False) -> str:
    """Submit what ``task_id`` was submitted with, for the same owner, without its chain, chord and callbacks.

    Args:
        once: when it has been run again already in this way, that is the job meant.

    Returns: the new job's id.
    Raises: UnknownJobError, ExpiredJobError, UnfinishedJobError, NotRepeatableError; redis-py's connection errors.
    """
    backend = celery_app.backend
    if not backend.state_of(task_id).ready:
        raise UnfinishedJobError(task_id)
    copy = backend.client.get(backend.keys.message(task_id))
    if copy is None:
        raise NotRepeatableError(task_id)
    message, queue = expanded(copy)
    headers = message["headers"]
    args, kwargs, _ = body_of(message, celery_app.conf.accept_content)
    before = SubmissionFacts.of_header(headers.get(HEADER))
    facts = SubmissionFacts(
        submitted_at=time.time_ns() // 1_000_000,
        owner=before.owner if before else "",
        locale=before.locale if before else None,
        retry_of=task_id,
    )
    time_limit, soft_time_limit = headers["timelimit"]
    new_id: str = uuid()
    terms = under_terms(SubmissionTerms(idempotency=f"again-{task_id}")) if once else nullcontext()
    try:
        with terms:
            celery_app.send_task(
                headers["task"],
                args,
                kwargs,
                task_id=new_id,
                queue=queue,
                priority=message["properties"].get("priority"),
                time_limit=time_limit,
                soft_time_limit=soft_time_limit,
                argsrepr=headers["argsrepr"],
                kwargsrepr=headers["kwargsrepr"],
                headers={HEADER: facts.to_header()},
            )
    except AlreadySubmittedError as earlier:
        return earlier.task_id
    return new_id
