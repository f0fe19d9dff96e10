"""Accepting a job: what the ACCEPT script is told, and what its answers mean.

Every publish through Celery of this process is accepted by it. What a submission asks for beyond that, an idempotency
key or limits, is said by :func:`under_terms` around the publish: Celery has no place for it between
``apply_async`` and the transport.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from flask import g, has_app_context

from libs.flask_celery.accept_script import (
    ACCEPTED,
    CONFLICT,
    KNOWN,
    OCCUPIED,
    OVERTAKEN,
    OWNER_FULL,
    PUBLISHED,
    QUEUE_FULL,
    RUNNING,
)
from libs.flask_celery.batches.errors import BatchInProgressError, CancelledBatchError
from libs.flask_celery.batches.scripts import CANCELLED, TAKEN_OVER
from libs.flask_celery.deadlines import expires_at
from libs.flask_celery.errors import (
    AlreadySubmittedError,
    IdempotencyConflictError,
    JobOvertaken,
    OwnerLimitError,
    QueueFullError,
)
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.message_copy import compact, compacted
from libs.flask_celery.record_fields import pending_record
from libs.flask_celery.unique import UNIQUE_HEADER, AlreadyRunningError, OccupiedTaskError, claim_name

#: The header with a run's fence: put in at delivery, and carried by what a run publishes in its own job's name.
FENCE_HEADER = "taskgate_fence"

#: The header of a message that is queued ahead of the others, with the value ``first``: its turn has been.
FIRST_HEADER = "taskgate_turn"

#: More retries than any job has between two replacements.
_RETRIES_PER_REPLACEMENT = 1_000_000


@dataclass(frozen=True, slots=True)
class PlaceInBatch:
    """Where a job stands in its batch, and which attempt fills that (``batches.scripts``)."""

    batch_id: str
    attempt: int
    place: int  # from 0


@dataclass(frozen=True, slots=True)
class SubmissionTerms:
    """What must hold for a job to be accepted; checked in the step that accepts it. Limits of 0 are none."""

    queue_limit: int = 0  # messages in the job's queue
    owner_limit: int = 0  # unfinished jobs of the job's owner
    idempotency: str = ""  # names the owner and their key, without spaces
    fingerprint: str = ""  # of what was submitted under the key
    idempotency_ttl: int = 86_400  # seconds
    batch: PlaceInBatch | None = None
    webhook: str | None = None  # who is told of the job's end, "" for nobody; None for the caller's, in ``g``


_NO_TERMS = SubmissionTerms()
_terms: ContextVar[SubmissionTerms] = ContextVar("submission_terms", default=_NO_TERMS)


@contextmanager
def under_terms(terms: SubmissionTerms) -> Iterator[None]:
    """What is published in this block is accepted under ``terms``."""
    token = _terms.set(terms)
    try:
        yield
    finally:
        _terms.reset(token)


def terms_now() -> SubmissionTerms:
    """Those of the publish under way."""
    return _terms.get()


def is_submission() -> bool:
    """Whether the publish under way is what a client was promised, and not a broadcast of the code's."""
    return _terms.get() is not _NO_TERMS


def webhook_of_caller(owner: str) -> str:
    """A request's, for a job of its own caller. What a job publishes tells nobody: a run's ``g`` has none.

    Not one of the facts, which travel in the message: Celery's debug log shows its headers, and an address like that
    often is a secret. It stands in the ledger alone.
    """
    if not has_app_context():
        return ""
    known = g.get
    return (known("webhook") or "") if known("principal") == owner else ""


def publication_of(headers: Mapping[str, Any]) -> int:
    """The number of a job's publication: greater for each retry, and for each replacement again."""
    replacements, retries = headers.get("replaced_task_nesting") or 0, headers.get("retries") or 0
    return int(replacements) * _RETRIES_PER_REPLACEMENT + int(retries)


def position_of(request: Any) -> tuple[int | str, int]:
    """Which run of its job a request is: its publication, "" when it is none, and its fence, 0 when it has none."""
    if request is None or not getattr(request, "task", None):
        return "", 0
    names = ("replaced_task_nesting", "retries")
    publication = publication_of({name: getattr(request, name, None) for name in names})
    return publication, int(getattr(request, FENCE_HEADER, None) or 0)


@dataclass(frozen=True, slots=True)
class Publication:
    """What ACCEPT is told of one task message, but for the terms. Texts are as they are stored."""

    task_id: str
    task: str
    queue: str
    eta: float  # Unix seconds; 0 for at once
    message: str  # "" when another broker has it
    record: str | bytes
    copy: str
    facts: SubmissionFacts
    number: int = 0  # ``publication_of``
    fence: int = 0
    turn: str = ""
    expires: int = 0
    unique: str = ""  # what ``unique_header`` says

    def arguments(self, terms: SubmissionTerms, record_prefix: str, broker_db: int, record_db: int) -> list[Any]:
        """ACCEPT's, but for the broker's prefix that ends them."""
        facts, place = self.facts, terms.batch
        return [
            *(self.message, broker_db, record_db, self.queue, self.eta, record_prefix, self.task_id, self.record),
            *(self.copy, facts.submitted_at, facts.owner, self.task, self.number, self.fence),
            *(terms.queue_limit, terms.owner_limit, terms.idempotency, terms.fingerprint, terms.idempotency_ttl),
            *(self.turn, self.expires, facts.deadline or 0),
            *(("", "", "") if place is None else (place.batch_id, place.attempt, place.place)),
            webhook_of_caller(facts.owner) if terms.webhook is None else terms.webhook,
            claim_name(self.unique, self.task, facts.owner) if self.unique else "",
        ]

    def settle(self, answer: tuple[bytes, bytes], terms: SubmissionTerms) -> bytes:
        """Return what ACCEPT answered when the publish may go on: ACCEPTED, PUBLISHED or KNOWN.

        Raises: JobOvertaken, AlreadySubmittedError, AlreadyRunningError, OccupiedTaskError, IdempotencyConflictError,
            QueueFullError, OwnerLimitError, BatchInProgressError, CancelledBatchError.
        """
        outcome, task_id = answer
        if outcome in (ACCEPTED, PUBLISHED, KNOWN):
            return outcome
        if outcome == OVERTAKEN:
            raise JobOvertaken(self.task_id)
        if outcome == RUNNING:
            raise AlreadyRunningError(task_id.decode())
        if outcome == OCCUPIED:
            raise OccupiedTaskError(self.task)
        if outcome == CONFLICT:
            raise IdempotencyConflictError(task_id.decode())
        if outcome == QUEUE_FULL:
            raise QueueFullError(self.queue, terms.queue_limit)
        if outcome == OWNER_FULL:
            raise OwnerLimitError(terms.owner_limit)
        if terms.batch is not None and outcome in (TAKEN_OVER, CANCELLED):
            taken_over = outcome == TAKEN_OVER
            raise (BatchInProgressError if taken_over else CancelledBatchError)(terms.batch.batch_id)
        raise AlreadySubmittedError(task_id.decode())


def publication(
    message: Mapping[str, Any], queue: str, *, push: bool, eta: float = 0.0, serializer: str = "json"
) -> Publication:
    """Of a message as kombu's virtual transports have it.

    Args:
        push: with the message itself.
        serializer: of the record.
    """
    headers = message["headers"]
    facts = SubmissionFacts.of_header(headers.get(HEADER))
    if facts is None:  # a message that another Celery app of this process published
        facts = SubmissionFacts(submitted_at=time.time_ns() // 1_000_000)
    return Publication(
        task_id=headers["id"],
        task=headers["task"],
        queue=queue,
        eta=eta,
        message=compact(message) if push else "",
        record=pending_record(headers, facts, queue, serializer),
        copy=compacted(message, queue),
        facts=facts,
        number=publication_of(headers),
        fence=headers.get(FENCE_HEADER) or 0,
        turn=headers.get(FIRST_HEADER) or "",
        expires=expires_at(headers),
        unique=headers.get(UNIQUE_HEADER) or "",
    )
