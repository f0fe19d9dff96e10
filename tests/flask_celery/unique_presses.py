"""Submitting the unique jobs of one installation, and ending them as a worker would."""

from __future__ import annotations

from typing import Any

from celery.exceptions import TaskRevokedError
from flask import g
from redis import Redis

from libs.flask_celery import JobState, SubmittedJob, submit
from tests.functional.job_runs import JobRuns

OWNER, PARAMS, TASK = "unique.owner", "unique.params", "unique.task"


def press(runs: JobRuns, task: str = OWNER, by: str = "ann", label: str = "", **options: Any) -> SubmittedJob:
    with runs.installation.app.app_context():
        g.principal = by
        return submit(runs.celery, task, {"label": label}, **options)


def end(runs: JobRuns, task_id: str, state: JobState = JobState.SUCCESS) -> None:
    """As a worker would have ended it."""
    failed = TaskRevokedError if state is JobState.REVOKED else ValueError
    stored = "done" if state is JobState.SUCCESS else runs.celery.backend.prepare_exception(failed("no"))
    assert runs.celery.backend.store_state(task_id, stored, state.value)


def queued(runs: JobRuns) -> int:
    with Redis.from_url(runs.installation.redis.url, db=2) as broker:
        return int(broker.llen("default"))


def claims(runs: JobRuns) -> dict[bytes, int]:
    """Each claim that is known, and for how many milliseconds yet."""
    client = runs.celery.backend.client
    return {key: client.pttl(key) for key in client.keys("taskgate-unique-*")}
