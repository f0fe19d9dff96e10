"""How a job says that it has found something for the next digest."""

import time
from collections.abc import Sequence

from flask import g

from app.extensions import db
from app.jobs.alerts.services import Finding, FindingKind, keep_finding
from app.write_lock import wait_to_write
from libs.flask_celery import current_job


def tell_in_digest(kind: FindingKind, count: int, examples: Sequence[str], *, task: str) -> None:
    """With the job's transaction: a job that fails has found nothing, one that runs twice has found it once.

    Nothing is told of a ``count`` of 0, or outside of a job.
    """
    if count and current_job.task_id is not None:
        finding = Finding(
            kind, count, examples, task_id=current_job.task_id, task=task, owner=g.get("principal") or ""
        )
        wait_to_write(db.session())  # a job of an hour is not to fail for this
        keep_finding(db.session(), finding, time.time_ns() // 1_000_000)
