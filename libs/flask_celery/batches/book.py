"""Opening a batch, closing it, and reading what became of its items when it is submitted again."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.batches.errors import BatchInProgressError, CancelledBatchError, ExpiredBatchError
from libs.flask_celery.batches.outcomes import Describe, Outcome
from libs.flask_celery.batches.scripts import (
    ABANDON,
    BUSY,
    CONFLICT,
    EXPIRED,
    LEASE,
    OPEN,
    REPLAY,
    RESUMED,
    SEAL,
    SEALED,
)
from libs.flask_celery.errors import IdempotencyConflictError
from libs.flask_celery.states import JobState
from libs.flask_celery.submit import digest

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Seconds for which a repetition waits for the request that is filling its batch.
PATIENCE = 4 * LEASE
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a batch begins with."""

    batch_id: str
    owner: str
    submitted_at: int  # Unix time in milliseconds
    total: int
    then: tuple[str, str, str] = ("", "", "")  # its task, its task id and the copy of its message
    idempotency_key: str | None = None
    fingerprint: str = ""
    webhook: str = ""  # who is told of the end of ``then``


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch to fill: by this ``attempt``, with the jobs that an earlier one has left there by their places."""

    batch_id: str
    attempt: int
    jobs: Mapping[int, str]
    is_sealed: bool = False  # there is nothing left to fill


class BatchBook:
    """What submitting a batch writes about the batch itself. Raises: redis-py's connection errors, everywhere."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._app = celery_app
        self._backend = celery_app.backend

    def open(self, new: NewBatch) -> Opened:
        """Begin a batch, or take up the one of its idempotency key when nobody else is at it any more.

        Raises: IdempotencyConflictError, ExpiredBatchError, and BatchInProgressError after ``PATIENCE`` seconds.
        """
        key = "" if new.idempotency_key is None else digest(f"{new.owner}\n{new.idempotency_key}")
        _, keep, _ = self._backend.kept_for()
        arguments = [
            *(new.batch_id, new.owner, new.submitted_at, new.total, *new.then),
            *(key, new.fingerprint, self._app.terms.idempotency_ttl, keep, new.webhook),
        ]
        deadline = time.monotonic() + PATIENCE
        while True:
            answer, found, number = self._backend.batches.run(OPEN, arguments)
            batch_id = bytes_to_str(found)
            if answer == BUSY and time.monotonic() < deadline:
                time.sleep(min(max(number / 1000, 0.01), _PAUSE))
                continue
            break
        if answer == BUSY:
            raise BatchInProgressError(batch_id)
        if answer == CONFLICT:
            raise IdempotencyConflictError(batch_id)
        if answer == EXPIRED:
            raise ExpiredBatchError(batch_id, new.owner)
        jobs = self._jobs(batch_id) if answer in (RESUMED, REPLAY) else {}
        return Opened(batch_id, number, jobs, is_sealed=answer == REPLAY)

    def knows(self, new: NewBatch) -> bool:
        """Whether its idempotency key has been used."""
        if new.idempotency_key is None:
            return False
        name = digest(f"{new.owner}\n{new.idempotency_key}")
        return bool(self._backend.client.exists(self._backend.keys.idempotency(name)))

    def outcomes(self, opened: Opened, total: int, describe: Describe) -> list[Outcome]:
        """Of a sealed batch, as they were told when it was sealed."""
        others = self._backend.client.hgetall(self._backend.keys.batch_others(opened.batch_id))
        kept = {int(place): Outcome.of_json(outcome) for place, outcome in others.items()}
        accepted = {place: Outcome(task_id, JobState.PENDING) for place, task_id in opened.jobs.items()}
        left = Outcome(refusal=describe(CancelledBatchError(opened.batch_id)))  # nobody else seals one half-way
        return [accepted.get(place) or kept.get(place) or left for place in range(total)]

    def seal(self, opened: Opened, outcomes: Mapping[int, Outcome]) -> None:
        """All items have been looked at; ``outcomes`` are those that became no job of the batch.

        Raises: BatchInProgressError when another attempt has the batch.
        """
        others: list[Any] = [part for place, outcome in outcomes.items() for part in (place, outcome.to_json())]
        arguments = [opened.batch_id, opened.attempt, *self._backend.kept_for(), *others]
        answer, due = self._backend.batches.run(SEAL, arguments)
        if answer != SEALED:
            raise BatchInProgressError(opened.batch_id)
        self._backend.submit_then(due)

    def abandon(self, opened: Opened) -> None:
        """Nothing was accepted: there is no such batch, and its key is free."""
        self._backend.batches.run(ABANDON, [opened.batch_id, opened.attempt])

    def _jobs(self, batch_id: str) -> dict[int, str]:
        members = self._backend.client.zrange(self._backend.keys.batch_jobs(batch_id), 0, -1, withscores=True)
        return {int(place): bytes_to_str(task_id) for task_id, place in members}
