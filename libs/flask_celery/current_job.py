"""``current_job``: what a running job can say about itself and ask about itself."""

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from celery._state import get_current_task
from flask import current_app, g

from libs.flask_celery.errors import JobCancelled, JobOvertaken
from libs.flask_celery.history.outlet import Outlet
from libs.flask_celery.history.run_log import RunLog
from libs.flask_celery.history.telling import encoded_line, shortened
from libs.flask_celery.records import JobFile
from libs.flask_celery.result_limits import check_files
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

logger = logging.getLogger(__name__)

#: Seconds between two questions to Redis whether a job has been cancelled.
_CANCEL_INTERVAL = 0.1


class JobFileStore(Protocol):
    """Where jobs have their files; the application registers one as ``app.extensions["job_files"]``."""

    def keep(self, task_id: str, name: str, source: Path, content_type: str) -> JobFile:
        """Take over the file at ``source`` as ``name``."""

    def open_input(self, file_id: str, *, owner: str) -> AbstractContextManager[BinaryIO]:
        """An input file of the owner's, to read from."""


class Job:
    """The surface of ``current_job``."""

    @property
    def task_id(self) -> str | None:
        """The job's id; None outside a job."""
        return _find().task_id

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked this job to stop. Asks Redis at most ten times a second."""
        return _find().cancelled

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Say how far the job is, in its own unit. Raises: JobCancelled when it has been asked to stop.

        Of a message that is longer than 2,000 characters the beginning is shown.
        """
        _find().progress(current, total, message)

    def log(self, message: object, level: str = "info") -> None:
        """Add a line to the job's log, which its owner can read. Raises: ValueError for a level that is none."""
        _find().log(message, level)

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """Make the file at ``source`` downloadable with the result; the file is moved.

        Raises: TooManyFilesError.
        """
        _find().attach(source, name=name, content_type=content_type)

    def open_file(self, file_id: str) -> AbstractContextManager[BinaryIO]:
        """An input file of the submitter's, for ``with``: binary, seekable, never whole in memory."""
        return _find().open_file(file_id)


class ActiveJob:
    """The job this code runs in. One per execution, dropped with its request."""

    def __init__(self, backend: "JobBackendMixin", request: Any) -> None:
        self._backend = backend
        self._request = request
        self._started_at = time.time_ns() // 1_000_000
        self._progress: tuple[int, int | None, str] | None = None
        self._progress_is_news = False
        self._files: list[JobFile] = []
        self._log = RunLog(backend, request)
        self._outlet = Outlet(backend.telling.progress_rate, self._pass_on)
        self._cancel_check_due = 0.0
        self._closed = False
        self._outcome_is_stored = False

    @property
    def task_id(self) -> str | None:
        """As in :class:`Job`, like all that follows."""
        return cast("str", self._request.id)

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked this job to stop."""
        now = time.monotonic()
        if not self._request.cancel_requested and now >= self._cancel_check_due:
            self._cancel_check_due = now + _CANCEL_INTERVAL
            try:
                self._request.cancel_requested = self._backend.cancel_requested(self._request.id)
            except self._backend.connection_errors:
                logger.warning("Job %s cannot be asked to stop while Redis is away", self._request.id, exc_info=True)
        return bool(self._request.cancel_requested)

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Say how far the job is; what comes too soon after the last word is passed on a moment later.

        While Redis is away it is kept too: progress is news, and no news is worth a job's failing for it.
        """
        if self._closed:
            return
        self._progress = (current, total, message)
        self._progress_is_news = True
        self._outlet.offer()
        request = self._request
        if request.overtaken:
            raise JobOvertaken(request.id)
        if request.refused_state or request.cancel_requested:
            raise JobCancelled(request.id)

    def log(self, message: object, level: str = "info") -> None:
        """Add a line; passed on like progress. Hooks that run after the job's end may log, too."""
        self._log.add(encoded_line(time.time_ns() // 1_000_000, level, self._request.retries or 0, message))
        self._outlet.offer()

    def _pass_on(self) -> bool:
        """What the outlet calls. With the run at its end Redis is waited for, as its result will have to anyway."""
        patience: dict[str, Any] = {} if self._closed else {"max_retries": 0}
        passed_on = self._log.pass_on(has_ended=self._outcome_is_stored, **patience)
        if not self._progress_is_news:
            return passed_on
        self._progress_is_news = False
        try:
            self._backend.store_state(
                self._request.id,
                self._shown_progress(),
                JobState.PROGRESS.value,
                request=self._request,
                progress=self._shown_progress(),
                **patience,
            )
        except self._backend.connection_errors:
            logger.warning("The progress of job %s could not be stored", self._request.id, exc_info=True)
            self._progress_is_news = True
            return False
        return passed_on

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """Hand the file to the application's store."""
        check_files(len(self._files))
        store: JobFileStore = current_app.extensions["job_files"]
        self._files.append(store.keep(self._request.id, name, source, content_type))

    def open_file(self, file_id: str) -> AbstractContextManager[BinaryIO]:
        """From the application's store."""
        return _open_input(file_id)

    def pass_on(self) -> None:
        """What has been said so far is not kept back any longer."""
        self._outlet.flush()

    def close(self) -> None:
        """The run is over, and what it has said is passed on before its outcome is stored.

        A hook may still say how far it is, which is not news and cannot be cancelled.
        """
        if not self._closed:
            self._closed = True
            self._outlet.flush()
            self._outcome_is_stored = True  # before anything of the job runs again

    def end(self) -> None:
        """The hooks have run, too."""
        self._closed = True
        self._progress_is_news = False
        self._outlet.flush()

    def record_fields(self) -> dict[str, Any]:
        """What the record says of this run beside Celery's own fields."""
        return {
            "started_at": self._started_at,
            "progress": self._shown_progress(),
            "files": [asdict(file) for file in self._files],
        }

    def take_over(self, fields: Mapping[str, Any]) -> None:
        """Say of this run what ``record_fields`` said of another, whose result this one returns."""
        self._started_at = fields["started_at"]
        progress = fields["progress"]
        self._progress = progress and (progress["current"], progress["total"], progress["message"])
        self._progress_is_news = False
        self._files = [JobFile(**file) for file in fields["files"]]

    def _shown_progress(self) -> dict[str, Any] | None:
        if self._progress is None:
            return None
        current, total, message = self._progress
        return {"current": current, "total": total, "message": shortened(message)}


class NoJob:
    """Stands in where a task's function is called as plain Python: nobody watches and nobody cancels."""

    task_id: str | None = None
    cancelled = False

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Nobody is there to see it."""

    def log(self, message: object, level: str = "info") -> None:
        """To Python's log instead."""
        encoded_line(0, level, 0, "")  # refuses what would be refused in a job
        logger.log(logging.getLevelNamesMapping()[level.upper()], "%s", message)

    def attach(self, source: Path, *, name: str, content_type: str) -> None:
        """The file stays where it is, for the caller."""

    def open_file(self, file_id: str) -> AbstractContextManager[BinaryIO]:
        """An input file of the principal that the caller works for."""
        return _open_input(file_id)


def _open_input(file_id: str) -> AbstractContextManager[BinaryIO]:
    store: JobFileStore = current_app.extensions["job_files"]
    return store.open_input(file_id, owner=g.get("principal") or "")


_NO_JOB = NoJob()


def _find() -> "ActiveJob | NoJob":
    # Not by way of ``celery.current_task``, whose proxies take most of the time of a progress call that is kept back.
    task = get_current_task()
    request = task.request_stack.top if task is not None else None
    return getattr(request, "active_job", None) or _NO_JOB


#: The job this code runs in, or a stand-in that does nothing.
current_job = Job()
