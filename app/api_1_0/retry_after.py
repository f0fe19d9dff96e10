"""After how many seconds a job is worth asking for again."""

import math
from datetime import UTC, datetime

from flask import current_app

from libs.flask_celery import JobRecord

_LEAST, _MOST = 1, 30


def retry_after(job: JobRecord) -> int:
    """Seconds, 1 to 30, until an unfinished job may be done, going by how long its task has been taking."""
    return seconds_until_done(job.task, starts=job.next_run_at, started=job.started_at)


def seconds_until_done(task: str | None, *, starts: datetime | None = None, started: datetime | None = None) -> int:
    """The same of a job that has started, or does not start before some time, or at once.

    One that takes longer than usual, or whose usual time is not known, is asked for each quarter of its time so far.
    """
    usual = (current_app.extensions["celery"].backend.run_times.mean(task) if task else None) or 0.0
    if starts is None and started is None:
        return min(max(math.ceil(usual), _LEAST), _MOST)
    now = datetime.now(UTC)
    if starts is not None and starts > now:
        seconds = (starts - now).total_seconds() + usual
    elif started is not None:
        elapsed = (now - started).total_seconds()
        seconds = usual - elapsed if usual > elapsed else elapsed / 4
    else:
        seconds = usual
    return min(max(math.ceil(seconds), _LEAST), _MOST)
