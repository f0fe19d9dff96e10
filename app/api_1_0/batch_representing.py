"""Batches as those who poll are shown them."""

import math
from datetime import UTC, datetime
from typing import Any

from flask import current_app

from app.api_1_0.polling import Representation
from app.api_1_0.representing import shown_values
from app.api_1_0.schemas import BatchSchema
from app.api_keys import Principal
from libs.flask_celery import BatchRecord, BatchRecords, ExpiredBatchError, JobRecord, UnknownBatchError, watched_as

#: Jobs looked at for one page. A page of a rare state may be short, or empty, and still have a next one.
_MOST_SCANNED = 2_000

_LEAST, _MOST = 1, 30


def own_batch(principal: Principal, batch_id: str) -> BatchRecord:
    """Raises: UnknownBatchError, for another owner's batch too; ExpiredBatchError for one's own that is over."""
    try:
        batch = _batches().get(batch_id)
    except ExpiredBatchError as error:
        if principal.owns(error.owner):
            raise
        raise UnknownBatchError(batch_id) from error
    if not principal.owns(batch.owner):
        raise UnknownBatchError(batch_id)
    return batch


def represent_batch(principal: Principal, batch_id: str, query: dict[str, Any]) -> Representation:
    """A batch and a page of its jobs as this principal may see them. Raises: as :func:`own_batch`."""
    batch = own_batch(principal, batch_id)
    jobs, following = _page(batch_id, query)
    value = {**BatchSchema().dump(batch), "jobs": shown_values(principal, jobs), "next": following}
    if batch.ready and (batch.then is None or batch.then.state is not None):
        return Representation(value)
    return Representation(value, [watched_as(batch_id)], settled=0, retry_after=_retry_after(batch))


def _page(batch_id: str, query: dict[str, Any]) -> tuple[list[Any], int | None]:
    """The jobs, and the place of the last one that was looked at, when there may be more."""
    limit, state = query["limit"], query.get("state")
    jobs: list[Any] = []
    after = query.get("cursor", -1)
    scanned = 0
    while len(jobs) < limit:
        found = _batches().jobs(batch_id, after=after, limit=limit if state is None else 100)
        for place, job in found:
            after, scanned = place, scanned + 1
            if state is None or (isinstance(job, JobRecord) and job.state is state):
                jobs.append(job)
            if len(jobs) == limit or scanned == _MOST_SCANNED:
                return jobs, after
        if not found:
            return jobs, None
    return jobs, None


def _retry_after(batch: BatchRecord) -> int:
    """Seconds, 1 to 30, until it may be ready, going by how fast its jobs have been ending."""
    ended = sum(count for state, count in batch.counts.items() if state.ready)
    so_far = (datetime.now(UTC) - batch.submitted_at).total_seconds()
    left = so_far * (batch.accepted - ended) / ended if ended else so_far  # 0 while its `then` is on its way
    return min(max(math.ceil(left), _LEAST), _MOST)


def _batches() -> BatchRecords:
    batches: BatchRecords = current_app.extensions["celery"].backend.batches
    return batches
