"""One job, for ``await``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from . import calls, following, listing, requests, transfer, waiting
from .async_driver import AsyncDriver
from .events import JobEvent
from .model import JobStatus, LogLine, Submission
from .sending import Terms
from .transfer import Target
from .waiting import OnProgress


class AsyncJob:
    """A job by its id. Methods raise the errors of ``errors``; :class:`RefusedError` for what the server refuses.

    ``submission`` is None for a job that was not submitted here.
    """

    def __init__(self, driver: AsyncDriver, terms: Terms, task_id: str, submission: Submission | None = None) -> None:
        self._driver, self._terms = driver, terms
        self.task_id = task_id
        self.submission = submission

    def __repr__(self) -> str:
        return f"AsyncJob({self.task_id!r})"

    async def status(self) -> JobStatus:
        """As it is now."""
        return await self._driver.run(calls.job_status(self._terms, self.task_id))

    async def wait(self, timeout: float | None = None, *, on_progress: OnProgress | None = None) -> JobStatus:
        """The job once it is final, however it ended. Raises: ResultTimeoutError; the job goes on."""
        flow = waiting.ended_job(self._terms, self.task_id, timeout=timeout, on_progress=on_progress)
        return await self._driver.run(flow)

    async def result(self, timeout: float | None = None, *, on_progress: OnProgress | None = None) -> Any:
        """What it returns. Raises: JobFailed, JobCancelled, ResultTimeoutError.

        Args:
            timeout: seconds; without it, for as long as the job takes.
            on_progress: called with each :class:`Progress` that is new, up to five times a second.
        """
        return waiting.result_of(await self.wait(timeout, on_progress=on_progress))

    def events(self, after: int | None = None) -> AsyncIterator[JobEvent]:
        """What becomes of it, as it happens, to its end; goes on by itself when the connection breaks.

        Args:
            after: the ``id`` of the last event that you have; 0 for all that is kept. Without it the present state
                comes first.
        """
        return self._driver.iterate(following.followed(self._terms, self.task_id, after))

    def logs(self, after: int = 0) -> AsyncIterator[LogLine]:
        """The lines that it has logged so far, after the one of this number."""
        return self._driver.iterate(listing.logged(self._terms, self.task_id, after))

    async def cancel(self, *, terminate: bool = False) -> JobStatus:
        """At once while it waits; what runs stops at its next progress call or, with ``terminate``, has its process
        ended. Raises: ConflictError when it has ended.
        """
        return await self._driver.run(calls.cancelled_job(self._terms, self.task_id, terminate=terminate))

    async def retry(self, *, idempotency_key: str | None = None) -> AsyncJob:
        """Run it again, once it has ended, as a new job."""
        request = requests.retry(self.task_id, idempotency_key)
        submission = await self._driver.run(calls.submitted(self._terms, request))
        return AsyncJob(self._driver, self._terms, submission.task_id, submission)

    async def download(self, name: str, target: Target) -> int:
        """One of its files, into a path, where it appears once it is whole, or a stream. Returns: its size."""
        path = requests.job_file_path(self.task_id, name)
        return await self._driver.run(transfer.downloaded(self._terms, path, target))
