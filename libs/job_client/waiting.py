"""Waiting for one job, or for one batch, by polls that the server holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import requests
from .errors import BusyError, JobCancelled, JobFailed, ResultTimeoutError, UnreachableError
from .flow import Flow, Pause, Request
from .model import BatchStatus, JobState, JobStatus, Progress
from .reading import batch_of, job_of, read_object
from .retrying import retry_after_seconds
from .sending import Answer, Terms, send

OnProgress = Callable[[Progress], object]

_NOT_MODIFIED = 304

#: Seconds between two polls that have both told something new: progress may come ten times a second.
_BETWEEN_NEWS = 0.2

#: A poll that comes back so much too early without news was not held: the server holds as many as it may.
_TOO_EARLY = 1.0

#: Seconds that a reply may come late, when one's own time is over.
_GRACE = 2.0


class Patience:
    """Until when one waits, in seconds from now; None for as long as it takes."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def left(self, most: float) -> float:
        """At most so many seconds."""
        return most if self.deadline is None else max(min(self.deadline - time.monotonic(), most), 0.0)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def over(self, what: str, job: JobStatus | None = None) -> ResultTimeoutError:
        """The error that says so."""
        return ResultTimeoutError(what, self.timeout or 0.0, job)


def ended_job(
    terms: Terms, task_id: str, *, timeout: float | None, on_progress: OnProgress | None
) -> Flow[JobStatus]:
    """The job once its state is final. Raises: ResultTimeoutError, UnreachableError, RefusedError."""
    patience = Patience(timeout)
    job: JobStatus | None = None
    etag: str | None = None
    while True:
        wait = patience.left(requests.LONGEST_WAIT)
        # Only who wants to hear of progress is told of anything but the end.
        request = requests.poll(task_id, wait=wait, etag=etag if on_progress else None)
        asked = time.monotonic()
        answer = yield from patient_send(terms, request, patience, f"Job {task_id}", job)
        is_new = answer.reply.status != _NOT_MODIFIED
        if is_new:
            before, job = job, job_of(read_object(answer.reply))
            etag = answer.reply.headers.get("etag")
            if on_progress and job.progress and (before is None or job.progress != before.progress):
                on_progress(job.progress)
            if job.ready:
                return job
        if patience.is_over:
            raise patience.over(f"Job {task_id}", job)
        yield Pause(patience.left(_until_next(answer, asked, wait, is_news=is_new and on_progress is not None)))


def ended_batch(terms: Terms, batch_id: str, *, timeout: float | None) -> Flow[BatchStatus]:
    """The batch once all its jobs are final. Raises: as :func:`ended_job`."""
    patience = Patience(timeout)
    while True:
        wait = patience.left(requests.LONGEST_WAIT)
        asked = time.monotonic()
        answer = yield from patient_send(
            terms, requests.poll_batch(batch_id, wait=wait), patience, f"Batch {batch_id}", None
        )
        batch = batch_of(read_object(answer.reply))
        if batch.ready:
            return batch
        if patience.is_over:
            raise patience.over(f"Batch {batch_id}")
        yield Pause(patience.left(_until_next(answer, asked, wait, is_news=False)))


def result_of(job: JobStatus) -> Any:
    """What the job has returned. Raises: JobFailed, JobCancelled."""
    if job.state is JobState.FAILURE:
        raise JobFailed(job)
    if job.state is JobState.REVOKED:
        raise JobCancelled(job)
    return job.result


def patient_send(
    terms: Terms, request: Request, patience: Patience, what: str, job: JobStatus | None
) -> Flow[Answer]:
    """As ``send``. Raises: ResultTimeoutError when it was one's own time that ended the tries."""
    if patience.deadline is None:
        return (yield from send(terms, request))
    began = time.monotonic()
    request = replace(request, read_timeout=min(request.read_timeout, patience.left(request.read_timeout) + _GRACE))
    try:
        return (yield from send(terms, request, deadline=patience.deadline))
    except (UnreachableError, BusyError) as error:
        if patience.deadline > began + terms.policy.patience:
            raise
        yield Pause(patience.left(terms.policy.patience))
        raise patience.over(what, job) from error


def _until_next(answer: Answer, asked: float, wait: float, *, is_news: bool) -> float:
    if is_news:
        return _BETWEEN_NEWS
    if time.monotonic() - asked > wait - _TOO_EARLY:
        return 0.0
    return retry_after_seconds(answer.reply.headers.get("retry-after")) or _BETWEEN_NEWS
