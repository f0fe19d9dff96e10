"""The jobs about batches: shells that read a batch, call a service and answer."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from flask import current_app

from app.jobs.batches.schemas import CollectParams
from app.jobs.batches.services import CollectedJob, write_results
from libs.flask_celery import JobRecord, current_job, job, read_batch, read_batch_jobs


@job(
    "batches.collect",
    params=CollectParams,
    example={"batch_id": "0b7e4d1c-2a63-4f0a-8f0e-3c1b9d5a7e42"},
    soft_time_limit=3300,
    time_limit=3600,
)
def collect(batch_id: UUID) -> dict[str, Any]:
    """Collect what came of a batch's jobs in one file.

    Meant to be the `then` of a batch. Answers how many jobs ended how, and all of them in the order sent, with their
    results or errors, in the file results.ndjson.
    """
    batch = read_batch(str(batch_id))
    with current_app.extensions["job_files"].workspace() as folder:
        path = folder / "results.ndjson"
        counts = write_results(_jobs(batch.batch_id), path, total=batch.accepted, on_progress=current_job.progress)
        current_job.attach(path, name=path.name, content_type="application/x-ndjson")
    return {"total": batch.accepted, "counts": counts}


def _jobs(batch_id: str) -> Iterator[CollectedJob]:
    for found in read_batch_jobs(batch_id):
        if isinstance(found, JobRecord):
            error = f"{found.failure.type}: {found.failure.message}" if found.failure is not None else None
            yield CollectedJob(found.task_id, found.state.value, found.result, error)
        else:
            yield CollectedJob(found.task_id, None, None, None)
