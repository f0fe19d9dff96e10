"""Whose a job is: its visitor's, whose session names it. A task id that somebody else has got opens nothing."""

import time

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase

_KEY = "jobs"

#: Jobs that a visitor can look at, the newest.
_MOST = 50


def remember(session: SessionBase, task_id: str) -> None:
    """Let this visitor see the job for as long as its result is kept."""
    newest = [*_kept(session).items(), (task_id, time.time())][-_MOST:]
    session[_KEY] = dict(newest)


def is_own(session: SessionBase, task_id: str) -> bool:
    """Whether this visitor has submitted the job, and its result is kept."""
    return task_id in _kept(session)


def _kept(session: SessionBase) -> dict[str, float]:
    """The times of submission by task id. An id without a result is PENDING to Celery, so old ones are left out."""
    oldest = time.time() - settings.CELERY_RESULT_EXPIRES
    return {task_id: submitted for task_id, submitted in session.get(_KEY, {}).items() if submitted > oldest}
