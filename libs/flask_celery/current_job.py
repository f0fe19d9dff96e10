"""``current_job``: what a running job can say about itself and ask about itself."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from celery import current_task
from flask import current_app
from werkzeug.local import LocalProxy

from libs.flask_celery.errors import JobCancelled, JobOvertaken
from libs.flask_celery.records import JobFile, JobProgress
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

logger = logging.getLogger(__name__)

#: Progress calls nearer together than this, in seconds, are kept back, so that a tight loop cannot flood Redis.
PROGRESS_INTERVAL = 0.1


class JobFileStore(Protocol):
    """Where jobs leave their files; the application registers one as ``app.extensions["job_files"]``."""

    def keep(self, task_id: str, name: str, source: Path, content_type: str) -> JobFile:
        """Take over the file at ``source`` as ``name``."""


class Job(Protocol):
    """The surface of ``current_job``."""

    @property
    def task_id(self) -> str | None:
        """The job's id; None outside a job."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked this job to stop. Asks Redis at most ten times a second."""

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Say how far the job is, in its own unit. Raises: JobCancelled when it has been asked to stop."""

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """Make the file at ``source`` downloadable with the result; the file is moved."""


class ActiveJob:
    """The job this code runs in. One per execution, dropped with its request."""

    def __init__(self, backend: "JobBackendMixin", request: Any) -> None:
        self._backend = backend
        self._request = request
        self._started_at = time.time_ns() // 1_000_000
        self._progress: JobProgress | None = None
        self._files: list[JobFile] = []
        self._progress_due = 0.0
        self._cancel_check_due = 0.0
        self._closed = False

    @property
    def task_id(self) -> str | None:
        """As in :class:`Job`, like all that follows."""
        return cast("str", self._request.id)

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked this job to stop."""
        now = time.monotonic()
        if not self._request.cancel_requested and now >= self._cancel_check_due:
            self._cancel_check_due = now + PROGRESS_INTERVAL
            try:
                self._request.cancel_requested = self._backend.cancel_requested(self._request.id)
            except self._backend.connection_errors:
                logger.warning("Job %s cannot be asked to stop while Redis is away", self._request.id, exc_info=True)
        return bool(self._request.cancel_requested)

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Say how far the job is; what comes too soon after the last word is kept for the next.

        While Redis is away it is kept too: progress is news, and no news is worth a job's failing for it.
        """
        if self._closed:
            return
        self._progress = JobProgress(current, total, message)
        now = time.monotonic()
        is_last = total is not None and current >= total
        if now < self._progress_due and not is_last:
            return
        self._progress_due = now + PROGRESS_INTERVAL
        shown = {"current": current, "total": total, "message": message}
        try:
            stored = self._backend.store_state(
                self._request.id, shown, JobState.PROGRESS.value, request=self._request, max_retries=0
            )
        except self._backend.connection_errors:
            logger.warning("The progress of job %s could not be stored", self._request.id, exc_info=True)
            return
        if self._request.overtaken:
            raise JobOvertaken(self._request.id)
        if not stored or self._request.cancel_requested:
            raise JobCancelled(self._request.id)

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """Hand the file to the application's store."""
        store: JobFileStore = current_app.extensions["job_files"]
        self._files.append(store.keep(self._request.id, name, source, content_type))

    def close(self) -> None:
        """The run is over. A hook may still say something, which is not news and cannot be cancelled."""
        self._closed = True

    def record_fields(self) -> dict[str, Any]:
        """What the record says of this run beside Celery's own fields."""
        progress = self._progress
        return {
            "started_at": self._started_at,
            "progress": progress
            and {"current": progress.current, "total": progress.total, "message": progress.message},
            "files": [
                {"name": file.name, "size": file.size, "content_type": file.content_type} for file in self._files
            ],
        }

    def take_over(self, fields: Mapping[str, Any]) -> None:
        """Say of this run what ``record_fields`` said of another, whose result this one returns."""
        self._started_at = fields["started_at"]
        self._progress = fields["progress"] and JobProgress(**fields["progress"])
        self._files = [JobFile(**file) for file in fields["files"]]


class NoJob:
    """Stands in where a task's function is called as plain Python: nobody watches and nobody cancels."""

    task_id = None
    cancelled = False

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Nobody is there to see it."""

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """The file stays where it is, for the caller."""


_NO_JOB = NoJob()


def _find() -> Job:
    request = getattr(current_task, "request", None) if current_task else None
    return cast("Job", getattr(request, "active_job", None) or _NO_JOB)


#: The job this code runs in, or a stand-in that does nothing.
current_job: Job = cast("Job", LocalProxy(cast("Callable[[], Any]", _find)))
