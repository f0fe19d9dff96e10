"""The answer for a job that has just been accepted, whichever route submitted it."""

from datetime import datetime
from http import HTTPStatus

from flask import current_app

from app.api_1_0.links import result_url
from app.api_1_0.retry_after import seconds_until_done
from app.api_1_0.schemas import Submission
from app.job_tokens import JobAccess
from libs.flask_celery import SubmittedJob


def accepted(
    job: SubmittedJob, owner: str, *, starts: datetime | None = None
) -> tuple[Submission, HTTPStatus, dict[str, str]]:
    """202, with a token for the owner's job. One submitted again gets a new token, which lasts from now on."""
    token = current_app.extensions["job_tokens"].issue(JobAccess(job.task_id, owner))
    submission = Submission(job.task_id, job.task, job.state, job.submitted_at, token)
    headers = where_it_is(job) | {"Retry-After": str(seconds_until_done(job.task, starts=starts))}
    return submission, HTTPStatus.ACCEPTED, headers


def where_it_is(job: SubmittedJob) -> dict[str, str]:
    """The headers of an answer to a submission, whatever its status."""
    replayed = {"Idempotent-Replayed": "true"} if job.replayed else {}
    running = {"Already-Running": "true"} if job.already_running else {}
    return {"Location": result_url(job.task_id), **replayed, **running}
