"""The synchronous client."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Unpack

import httpx

from . import calls, listing, requests, scheduling, transfer
from .batches import Batch
from .connection import connection
from .driver import Driver
from .jobs import Job
from .model import DeadLetter, DeadLetterOutcome, JobState, JobStatus, Task, UploadedFile
from .options import Options
from .reading import dead_letter_of, file_of, job_of
from .retrying import RetryPolicy
from .schedules import Schedule, ScheduleChanges, ScheduleOptions
from .sending import Terms
from .transfer import Source, Target


class JobClient:
    """A server and a key. May be shared by threads; ``close()`` it, or use it as a context manager.

    Args:
        url: such as ``https://jobs.example.com``; without it, ``TASKGATE_URL``.
        key: without it, ``TASKGATE_KEY``.
        retries: for how long lost replies and busy servers are tried again.
        verify: an ``ssl.SSLContext`` for a certificate of one's own.

    Raises: ValueError for an address or a key that cannot be one.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: RetryPolicy | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        where = connection(url, key, verify)
        self.url = where.url
        self._terms = Terms(where.url, retries or RetryPolicy())
        self._http = httpx.Client(**where.http_options())
        self._driver = Driver(self._http)

    def __repr__(self) -> str:
        return f"JobClient({self.url!r})"

    def __enter__(self) -> JobClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def submit(self, task: str, options: Options | None = None, /, **params: Any) -> Job:
        """Submit a job of ``task`` with these params. When this returns it is stored.

        Raises: InvalidRequestError with messages by param; NotFoundError for an unknown task; UnreachableError, whose
        ``idempotency_key`` finds out later whether it was accepted.
        """
        submission = self._driver.run(
            calls.submitted(self._terms, requests.submit(task, params, options or Options()))
        )
        return Job(self._driver, self._terms, submission.task_id, submission)

    def job(self, task_id: str) -> Job:
        """A job that was submitted earlier. Asks nothing."""
        return Job(self._driver, self._terms, task_id)

    def latest(self, task: str) -> JobStatus:
        """Your newest job of a task. Raises: NotFoundError."""
        return self._driver.run(calls.latest_job(self._terms, task))

    def jobs(
        self,
        *,
        task: str | None = None,
        state: JobState | str | Sequence[JobState | str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        owner: str | None = None,
    ) -> Iterator[JobStatus]:
        """Your jobs, the newest first; ``owner`` is for admins. Pages are asked for as you go on."""
        query = {"task": task, "state": state, "since": since, "until": until, "owner": owner}
        return self._driver.iterate(listing.listed(self._terms, "jobs", "jobs", job_of, **query))

    def batch(
        self,
        task: str,
        many: Iterable[Mapping[str, Any]],
        *,
        then: tuple[str, Mapping[str, Any]] | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """Submit a job of ``task`` for each of these params, 10,000 at the most, in one request.

        Args:
            then: a task, and its params, that runs once when all have ended.

        Raises: InvalidRequestError when none was accepted; those of some are in ``refused``.
        """
        request = requests.submit_batch(task, many, then=then, webhook=webhook, idempotency_key=idempotency_key)
        return Batch(self._driver, self._terms, *self._driver.run(calls.submitted_batch(self._terms, request)))

    def tasks(self) -> Sequence[Task]:
        """All that can be submitted, by name."""
        return self._driver.run(calls.tasks(self._terms))

    def upload(self, source: Source, *, name: str | None = None, content_type: str | None = None) -> UploadedFile:
        """A file, by its path or open for reading, as input of jobs: params name its ``file_id``."""
        return self._driver.run(transfer.uploaded(self._terms, source, name, content_type))

    def download(self, file_id: str, target: Target) -> int:
        """An input file, as :meth:`Job.download`."""
        return self._driver.run(transfer.downloaded(self._terms, requests.content_path(file_id), target))

    def files(self) -> Iterator[UploadedFile]:
        """Your input files, the newest first."""
        return self._driver.iterate(listing.listed(self._terms, "files", "files", file_of))

    def file(self, file_id: str) -> UploadedFile:
        """One of them."""
        return self._driver.run(calls.file_known(self._terms, file_id))

    def remove_file(self, file_id: str) -> None:
        """Raises: ConflictError while a job that has not ended names it."""
        self._driver.run(calls.file_removed(self._terms, file_id))

    def dead_letters(
        self, *, task: str | None = None, since: datetime | None = None, owner: str | None = None
    ) -> Iterator[DeadLetter]:
        """Your failed jobs that nobody has run again or dropped, the newest failure first; an admin's are all."""
        query = {"task": task, "since": since, "owner": owner}
        return self._driver.iterate(
            listing.listed(self._terms, "dead-letters", "dead_letters", dead_letter_of, **query)
        )

    def retry_dead(
        self, task_ids: Sequence[str] = (), *, task: str | None = None, since: datetime | None = None
    ) -> Sequence[DeadLetterOutcome]:
        """Run these again, or all that ``task`` and ``since`` find. Said again it is the same new jobs."""
        return self._driver.run(calls.dead_letters_done(self._terms, "retry", task_ids, task=task, since=since))

    def drop_dead(
        self, task_ids: Sequence[str] = (), *, task: str | None = None, since: datetime | None = None
    ) -> Sequence[DeadLetterOutcome]:
        """Take them off the list; they keep their state and their error."""
        return self._driver.run(calls.dead_letters_done(self._terms, "drop", task_ids, task=task, since=since))

    def create_schedule(
        self,
        task: str,
        params: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Have jobs of ``task`` submitted by themselves: by ``cron`` and ``timezone``, or ``every`` so many seconds.

        Raises: InvalidRequestError with messages by field.
        """
        made = scheduling.created(self._terms, task, params, options, idempotency_key)
        return self._driver.run(made)

    def schedules(self) -> Iterator[Schedule]:
        """The service's own, which nobody changes, then yours, the newest first."""
        return self._driver.iterate(scheduling.listed(self._terms))

    def schedule(self, schedule_id: str) -> Schedule:
        """One of them. Raises: NotFoundError."""
        return self._driver.run(scheduling.known(self._terms, schedule_id))

    def change_schedule(self, schedule_id: str, **changes: Unpack[ScheduleChanges]) -> Schedule:
        """What is named becomes another; ``enabled=False`` pauses it. Raises: ConflictError for one in code."""
        return self._driver.run(scheduling.changed(self._terms, schedule_id, changes))

    def run_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> Job:
        """Submit its job now, besides its due times; of one that is paused too."""
        submission = self._driver.run(scheduling.run_now(self._terms, schedule_id, idempotency_key))
        return Job(self._driver, self._terms, submission.task_id, submission)

    def remove_schedule(self, schedule_id: str) -> None:
        """Jobs that it has submitted stay. Raises: NotFoundError, ConflictError for one in code."""
        self._driver.run(scheduling.removed(self._terms, schedule_id))
