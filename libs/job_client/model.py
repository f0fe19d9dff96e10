"""What the server tells of jobs, batches, tasks and files, as frozen values. Times are aware, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Celery's states."""

    PENDING = "PENDING"  # waits
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"  # runs and has told how far it is
    RETRY = "RETRY"  # waits for another try
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"  # cancelled

    @property
    def ready(self) -> bool:
        """Whether it is final."""
        return self in (JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as RFC 9457 has it."""

    status: int
    title: str
    detail: str = ""
    errors: Mapping[str, Any] = field(default_factory=dict)  # messages by field
    request_id: str | None = None
    retry_after: float | None = None  # seconds
    members: Mapping[str, Any] = field(default_factory=dict)  # whatever else the document says

    def __str__(self) -> str:
        fields = "; ".join(f"{name}: {said}" for name, said in self.errors.items())
        return (
            f"{self.status} {self.title}" + (f": {self.detail}" if self.detail else "") + (fields and f" ({fields})")
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in its own unit; ``total`` is None when it does not know."""

    current: int
    total: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed."""

    type: str
    message: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that a job has left."""

    name: str
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one moment and, once its state is final, what came of it."""

    task_id: str
    task: str | None
    state: JobState
    state_label: str
    progress: Progress | None
    result: Any
    error: Failure | None
    files: Sequence[JobFile]
    submitted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    next_run_at: datetime | None
    retries: int
    retry_of: str | None
    retried_as: str | None
    batch_id: str | None
    schedule_id: str | None
    as_json: Mapping[str, Any] = field(repr=False)  # the whole answer

    @property
    def ready(self) -> bool:
        """Whether the state is final."""
        return self.state.ready

    @property
    def successful(self) -> bool:
        """Whether it has ended well."""
        return self.state is JobState.SUCCESS


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that was accepted."""

    task_id: str
    task: str
    state: JobState
    idempotency_key: str | None
    access_token: str = field(repr=False)  # opens this job alone, for a browser or a phone
    replayed: bool = False  # the key had been used: this is that job
    already_running: bool = False  # of a unique task: the job that was under way


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a job has logged."""

    number: int  # from 1; one that is left out was not kept
    at: datetime
    level: str
    message: str
    run: int
    retries: int


@dataclass(frozen=True, slots=True)
class Task:
    """What can be submitted. ``params`` is a JSON Schema."""

    name: str
    summary: str
    description: str
    queue: str
    queues: Sequence[str]
    unique: str | None
    limits: Mapping[str, Any]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of one job of a batch as it was submitted; ``problem`` when it was refused."""

    index: int
    task_id: str | None
    state: JobState | None
    problem: Problem | None
    replayed: bool = False
    already_running: bool = False


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How many jobs of a batch are in which state."""

    batch_id: str
    total: int
    accepted: int
    counts: Mapping[JobState, int]
    complete: bool  # all that were sent have been accepted or refused
    ready: bool  # all are final
    then_task_id: str | None
    as_json: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """A job of a batch that has ended: by its place in what was submitted.

    ``job`` is None when there is nothing to be known: ``problem`` says why it was refused, or is kept no longer.
    """

    index: int
    job: JobStatus | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed, and that nobody has run again or dropped."""

    task_id: str
    task: str | None
    owner: str
    queue: str
    failed_at: datetime
    error: Failure | None


@dataclass(frozen=True, slots=True)
class DeadLetterOutcome:
    """What was done with one: ``retried_as`` names the new job."""

    task_id: str
    retried_as: str | None
    dropped: bool
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An input file; params name it by ``file_id``."""

    file_id: str
    name: str
    size: int
    content_type: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None
