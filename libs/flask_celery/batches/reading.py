"""What a job may read of a batch: those of its own submitter alone, since a batch's id can be sent by anybody."""

from collections.abc import Iterator

from flask import current_app, g

from libs.flask_celery.batches.errors import ExpiredBatchError, UnknownBatchError
from libs.flask_celery.batches.records import BatchRecord
from libs.flask_celery.errors import ExpiredJobError, UnknownJobError
from libs.flask_celery.records import JobRecord


def read_batch(batch_id: str) -> BatchRecord:
    """How many of its jobs have ended how. Raises: UnknownBatchError, ExpiredBatchError."""
    try:
        batch: BatchRecord = current_app.extensions["celery"].backend.batches.get(batch_id)
    except ExpiredBatchError as error:
        if error.owner == g.get("principal"):
            raise
        raise UnknownBatchError(batch_id) from error
    if batch.owner != g.get("principal"):
        raise UnknownBatchError(batch_id)
    return batch


def read_batch_jobs(batch_id: str) -> Iterator[JobRecord | UnknownJobError | ExpiredJobError]:
    """Its jobs in the order sent, a hundred in memory at a time; an error for one whose result has expired.

    Raises: UnknownBatchError, ExpiredBatchError.
    """
    read_batch(batch_id)
    yield from current_app.extensions["celery"].backend.batches.all_jobs(batch_id)
