"""Submitting many jobs at once, as a batch: validated one by one, accepted some hundred at a time."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery.utils import uuid

from libs.flask_celery.acceptance import webhook_of_caller
from libs.flask_celery.batches.book import BatchBook, NewBatch, Opened
from libs.flask_celery.batches.checks import CheckedItems, RefusedItem, Turns
from libs.flask_celery.batches.errors import EmptyBatchError, InterruptedBatchError
from libs.flask_celery.batches.filling import BatchFilling, BatchItem, PlacedItem
from libs.flask_celery.batches.outcomes import Describe, Outcome, describe_error
from libs.flask_celery.batches.records import ThenJob
from libs.flask_celery.batches.task_ids import new_task_ids
from libs.flask_celery.batches.then import Then, then_message
from libs.flask_celery.errors import AlreadySubmittedError, BrokerUnavailableError, FlaskCeleryError
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.gate import UNAVAILABLE
from libs.flask_celery.states import JobState
from libs.flask_celery.submit import digest, submitted_earlier
from libs.flask_celery.tracing import traced

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Jobs that are accepted in one step, and bytes of what the caller has said about them.
TOGETHER = 500
_TOGETHER_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class SubmittedBatch:
    """What the submitter is told: what was accepted is stored and will run."""

    batch_id: str
    submitted_at: datetime
    outcomes: Sequence[Outcome]  # one for each item, in their order
    then: ThenJob | None
    replayed: bool = False  # submitted earlier, under the same idempotency key

    @property
    def accepted(self) -> int:
        """How many items were."""
        return sum(outcome.refusal is None for outcome in self.outcomes)


@traced
def submit_many(
    celery_app: "FlaskCelery",
    items: Iterable[BatchItem | RefusedItem],
    *,
    then: Then | None = None,
    idempotency_key: str | None = None,
    content: Any = None,
    describe: Describe = describe_error,
) -> SubmittedBatch:
    """Accept many jobs for the caller in ``g``, each by itself: one that is refused harms no other.

    Args:
        then: a task to run once, when all the jobs are final.
        idempotency_key: the caller's name for this batch. Said again with the same items it is the same batch; one
            that was left half-way, by a process that was killed or a broker that went away, is finished.
        content: what the caller has said beside the items, as in ``submit``.
        describe: how the outcome of an item tells why that was refused.

    Raises: InvalidParamsError for ``then``; IdempotencyConflictError, ExpiredBatchError, BatchInProgressError (by
            another request, under this key): nothing was accepted.
        EmptyBatchError: no item could be accepted; nothing was stored.
        InterruptedBatchError: the broker went away half-way.
        BrokerUnavailableError: it was away from the beginning.
    """
    turns = Turns()
    checked = CheckedItems(celery_app, items, turns)
    facts = SubmissionFacts.of_caller()
    batch_id, then_id = uuid(), uuid()
    beside = json.dumps([[then.task, then.params] if then else None, content], sort_keys=True, default=str)
    fingerprint = digest(f"{checked.fingerprint} {beside}")
    copy = then_message(celery_app, then, replace(facts, batch_id=batch_id), then_id) if then else ""
    new = NewBatch(
        *(batch_id, facts.owner, facts.submitted_at, len(checked.items)),
        then=(then.task, then_id, copy) if then else ("", "", ""),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        webhook=webhook_of_caller(facts.owner),
    )
    submission = _Submission(celery_app, checked.items, describe, turns)
    try:
        return submission.run(new, facts)
    except UNAVAILABLE as error:
        raise BrokerUnavailableError("The job queue did not answer in time.") from error


class _Submission:
    """One attempt at a batch."""

    def __init__(
        self, celery_app: "FlaskCelery", items: Sequence[BatchItem | Exception], describe: Describe, turns: Turns
    ) -> None:
        self._app = celery_app
        self._items = items
        self._describe = describe
        self._turns = turns
        self._book = BatchBook(celery_app)
        self._reasons: list[Exception] = []

    def run(self, new: NewBatch, facts: SubmissionFacts) -> SubmittedBatch:
        outcomes = {
            place: self._refused(item) for place, item in enumerate(self._items) if isinstance(item, Exception)
        }
        if len(outcomes) == len(self._items) and not self._book.knows(new):
            raise EmptyBatchError(list(outcomes.values()), self._reasons)
        opened = self._book.open(new)
        if opened.is_sealed:
            return self._submitted(opened, self._book.outcomes(opened, new.total, self._describe), replayed=True)
        try:
            self._fill(opened, replace(facts, batch_id=opened.batch_id), outcomes)
            if not opened.jobs and all(outcome.refusal is not None for outcome in outcomes.values()):
                self._book.abandon(opened)
                raise EmptyBatchError([outcomes[place] for place in range(new.total)], self._reasons)
            members = {place for place, outcome in outcomes.items() if outcome.is_of_batch}
            self._book.seal(opened, {place: outcomes[place] for place in outcomes.keys() - members})
        except UNAVAILABLE as error:
            away = self._describe(BrokerUnavailableError("The job queue did not answer in time."))
            told = [outcomes.get(place) or Outcome(refusal=away) for place in range(new.total)]
            raise InterruptedBatchError(opened.batch_id, told) from error
        return self._submitted(opened, [outcomes[place] for place in range(new.total)])

    def _fill(self, opened: Opened, facts: SubmissionFacts, outcomes: dict[int, Outcome]) -> None:
        """Accept what is not accepted yet, and complete ``outcomes``. Raises: ``UNAVAILABLE``."""
        for place, task_id in opened.jobs.items():
            outcomes[place] = Outcome(task_id, JobState.PENDING)
        ids: dict[int, str] = {}  # of those of whom nobody knows yet
        try:
            with BatchFilling(self._app, facts, opened.batch_id, opened.attempt) as filling:
                for chunk in self._chunks(outcomes):
                    ids |= {placed.place: placed.task_id for placed in chunk}
                    self._note(filling.accept(chunk), ids, outcomes)
                    self._turns()
                self._note(filling.rest(), ids, outcomes)
        except UNAVAILABLE:
            away = self._describe(BrokerUnavailableError("The job queue did not answer in time."))
            outcomes.update({place: Outcome(task_id, refusal=away) for place, task_id in ids.items()})
            raise

    def _note(
        self, told: Iterable[tuple[int, Exception | None]], ids: dict[int, str], outcomes: dict[int, Outcome]
    ) -> None:
        for place, refusal in told:
            outcomes[place] = self._outcome(place, ids.pop(place), refusal)

    def _chunks(self, settled: dict[int, Outcome]) -> Iterator[list[PlacedItem]]:
        chunk: list[PlacedItem] = []
        size, ids = 0, new_task_ids()
        for place, item in enumerate(self._items):
            if isinstance(item, Exception) or place in settled:
                continue
            chunk.append(PlacedItem(place, next(ids), item))
            size += len(item.said)
            if len(chunk) == TOGETHER or size >= _TOGETHER_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _outcome(self, place: int, task_id: str, refusal: Exception | None) -> Outcome:
        if refusal is None:
            return Outcome(task_id, JobState.PENDING)
        if not isinstance(refusal, AlreadySubmittedError):
            return self._refused(refusal)
        item = self._items[place]
        try:
            earlier = submitted_earlier(self._app, getattr(item, "task", ""), refusal)
        except FlaskCeleryError as error:
            return self._refused(error)
        return Outcome(
            earlier.task_id, earlier.state, replayed=earlier.replayed, already_running=earlier.already_running
        )

    def _refused(self, error: Exception) -> Outcome:
        self._reasons.append(error)
        return Outcome(refusal=self._describe(error))

    def _submitted(self, opened: Opened, outcomes: Sequence[Outcome], *, replayed: bool = False) -> SubmittedBatch:
        batch = self._app.backend.batches.get(opened.batch_id)
        return SubmittedBatch(opened.batch_id, batch.submitted_at, outcomes, batch.then, replayed)
