"""Running a final job again, as a new job that names the old one."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.utils import uuid
from kombu.exceptions import ContentDisallowed
from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.acceptance import SubmissionTerms, under_terms
from libs.flask_celery.errors import AlreadySubmittedError, NotRepeatableError, UnfinishedJobError
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.jobs import job_spec
from libs.flask_celery.message_copy import body_of, expanded
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import JobState
from libs.flask_celery.submit import SubmittedJob, submitted_earlier
from libs.flask_celery.unique import AlreadyRunningError

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Changes a record that is still as it was read. KEYS: 1 meta. ARGV: 1 as it was read, 2 as it is to be.
_REWRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[2])
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return 1
"""


def run_again(
    celery_app: "FlaskCelery",
    task_id: str,
    *,
    once: bool = False,
    terms: SubmissionTerms | None = None,
    declared: bool = False,
) -> SubmittedJob:
    """Submit what ``task_id`` was submitted with, for the same owner, without its chain, chord and callbacks.

    It keeps its queue, its priority, its time limits, whether its result is ignored, and the time it had until its
    deadline, which begins anew. It runs at once, and does not expire. When it had failed, it is no dead letter any
    more.

    Args:
        once: when it has been run again already in this way, that is the job meant. Else another job of a unique
            task, under way, is the one meant.
        terms: what must hold for it to be accepted.
        declared: only when its task is one of those that clients may submit.

    Raises: UnknownTaskError, UnknownJobError, UnfinishedJobError, NotRepeatableError, and as ``submit``;
        AlreadyRunningError with ``once``.
    """
    backend = celery_app.backend
    if not backend.state_of(task_id).ready:
        raise UnfinishedJobError(task_id)
    copy = backend.client.get(backend.keys.message(task_id))
    if copy is None:
        raise NotRepeatableError(task_id)
    message, queue = expanded(copy)
    headers = message["headers"]
    if declared:
        job_spec(celery_app, headers["task"])
    try:
        args, kwargs, _ = body_of(message, celery_app.conf.accept_content)
    except ContentDisallowed as error:  # the setting was another one when it was submitted
        raise NotRepeatableError(task_id) from error
    facts = _facts_anew(SubmissionFacts.of_header(headers.get(HEADER)), task_id)
    time_limit, soft_time_limit = headers["timelimit"]
    new_id: str = uuid()
    told = bytes_to_str(backend.client.hget(backend.keys.ledger(task_id), "webhook") or "")
    terms = replace(terms or SubmissionTerms(), webhook=told)
    if once:
        terms = replace(terms, idempotency=f"again-{task_id}", fingerprint="")
    try:
        with under_terms(terms):
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
                shadow=headers["shadow"],
                ignore_result=headers["ignore_result"],
                headers={HEADER: facts.to_header()},
            )
    except AlreadySubmittedError as earlier:
        if not isinstance(earlier, AlreadyRunningError):
            backend.client.zrem(backend.keys.failed, task_id)
        elif once:
            raise
        return submitted_earlier(celery_app, headers["task"], earlier)
    backend.client.zrem(backend.keys.failed, task_id)
    _tell_the_old_one(backend, task_id, new_id)
    submitted_at = datetime.fromtimestamp(facts.submitted_at / 1000, tz=UTC)
    return SubmittedJob(new_id, headers["task"], JobState.PENDING, submitted_at)


def _facts_anew(before: SubmissionFacts | None, task_id: str) -> SubmissionFacts:
    """Of whoever asks for it, but for the owner and what the first submission had asked for."""
    now = SubmissionFacts.of_caller()
    if before is None:
        return replace(now, owner="", retry_of=task_id)
    allowed = None if before.deadline is None else before.deadline - before.submitted_at
    return replace(
        now,
        owner=before.owner,
        locale=before.locale,
        retry_of=task_id,
        deadline=None if allowed is None else now.submitted_at + allowed,
    )


def _tell_the_old_one(backend: Any, task_id: str, new_id: str) -> None:
    """What is final stays so; that it was run again is news about it."""
    key = backend.keys.meta(task_id)
    record = backend.client.get(key)
    if record is not None:
        rewritten = backend.encode({**backend.decode(record), "retried_as": new_id})
        run_script(backend.client, _REWRITE, [key], [record, rewritten])
