"""Submit jobs to a Taskgate server and wait for what becomes of them, with threads or with ``await``.

It imports itself by relative names, since it is two packages: ``job_client`` where it is installed alone, and
``libs.job_client`` beside the server.
"""

from .async_batches import AsyncBatch
from .async_client import AsyncJobClient
from .async_jobs import AsyncJob
from .batches import Batch
from .client import JobClient
from .environment import address_and_key
from .errors import (
    AccessError,
    BusyError,
    ConflictError,
    ExpiredError,
    InvalidRequestError,
    JobCancelled,
    JobClientError,
    JobFailed,
    NotFoundError,
    RefusedError,
    ResultTimeoutError,
    UnexpectedReplyError,
    UnreachableError,
)
from .events import JobEvent, LogEvent, LostEvents, ProgressEvent, StateEvent
from .jobs import Job
from .model import (
    BatchOutcome,
    BatchStatus,
    Completed,
    DeadLetter,
    DeadLetterOutcome,
    Failure,
    JobFile,
    JobState,
    JobStatus,
    LogLine,
    Problem,
    Progress,
    Submission,
    Task,
    UploadedFile,
)
from .options import Options
from .retrying import RetryPolicy
from .schedules import Schedule, ScheduleChanges, ScheduleOptions

__all__ = [
    # Clients
    "JobClient", "Job", "Batch", "AsyncJobClient", "AsyncJob", "AsyncBatch", "Options", "RetryPolicy",
    "ScheduleChanges", "ScheduleOptions",
    "address_and_key",
    # What they are told
    "BatchOutcome", "BatchStatus", "Completed", "DeadLetter", "DeadLetterOutcome", "Failure", "JobFile", "JobState",
    "JobStatus", "LogLine", "Problem", "Progress", "Schedule", "Submission", "Task", "UploadedFile",
    # Events
    "JobEvent", "LogEvent", "LostEvents", "ProgressEvent", "StateEvent",
    # Errors
    "AccessError", "BusyError", "ConflictError", "ExpiredError", "InvalidRequestError", "JobCancelled",
    "JobClientError", "JobFailed", "NotFoundError", "RefusedError", "ResultTimeoutError", "UnexpectedReplyError",
    "UnreachableError",
]  # fmt: skip
