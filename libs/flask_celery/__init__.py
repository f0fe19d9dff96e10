"""Celery for a Flask application: context-aware tasks, jobs with schemas, records that clients can poll.

``celery_app`` is made on first access, so that importing this library never builds an application:
``celery -A libs.flask_celery:celery_app worker``.
"""

from typing import TYPE_CHECKING, Any

from libs.flask_celery.acceptance import FIRST_HEADER, SubmissionTerms
from libs.flask_celery.batches.checks import RefusedItem, Turns
from libs.flask_celery.batches.errors import (
    BatchError,
    BatchInProgressError,
    CancelledBatchError,
    EmptyBatchError,
    ExpiredBatchError,
    FinalBatchError,
    InterruptedBatchError,
    UnknownBatchError,
)
from libs.flask_celery.batches.filling import BatchItem
from libs.flask_celery.batches.outcomes import Outcome
from libs.flask_celery.batches.reading import read_batch, read_batch_jobs
from libs.flask_celery.batches.records import BatchRecord, BatchRecords, ThenJob
from libs.flask_celery.batches.submitting import SubmittedBatch, submit_many
from libs.flask_celery.batches.then import Then, watched_as
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.celery_config import CelerySettings, Role
from libs.flask_celery.completions import completions_table, forget_completions
from libs.flask_celery.current_job import JobFileStore, current_job
from libs.flask_celery.dead_letters import DeadLetter, DeadLetters
from libs.flask_celery.describing import JobDescription, JobLimits, describe
from libs.flask_celery.discovery import import_jobs
from libs.flask_celery.errors import (
    BroadcastQueueError,
    BrokerUnavailableError,
    ExpiredJobError,
    FinalJobError,
    FlaskCeleryError,
    IdempotencyConflictError,
    InvalidParamsError,
    JobCancelled,
    JobOvertaken,
    NotRepeatableError,
    OwnerLimitError,
    QueueFullError,
    ResultTooLargeError,
    ScheduleChangedError,
    ScheduleLimitError,
    SettingError,
    TooManyFilesError,
    UnfinishedJobError,
    UnknownJobError,
    UnknownScheduleError,
    UnknownTaskError,
)
from libs.flask_celery.factory import FlaskCelery, make_celery
from libs.flask_celery.failures import FailedJob, FailedJobs, Failures
from libs.flask_celery.figures.counting import BUCKETS, Counts, TaskTimes
from libs.flask_celery.figures.reading import BrokerFigures, Figures, QueueFigures, read_figures
from libs.flask_celery.figures.throughput import per_minute
from libs.flask_celery.figures.worker_signs import WorkerSign
from libs.flask_celery.figures.workers import WorkerFigures, read_workers
from libs.flask_celery.file_sweeper import JobFileSweep
from libs.flask_celery.file_use import kept_files, unfinished_params
from libs.flask_celery.gate import UNAVAILABLE
from libs.flask_celery.history.following import JobFollowers
from libs.flask_celery.history.history import (
    EventKind,
    EventPage,
    JobEvent,
    JobHistory,
    LogLine,
    LogPage,
    StateChange,
)
from libs.flask_celery.history.telling import LEVELS, TellingSettings
from libs.flask_celery.job_search import Found, Wanted, search
from libs.flask_celery.jobs import JobSpec, job, job_spec, job_specs
from libs.flask_celery.quarantine import quarantined, release_from_quarantine
from libs.flask_celery.queues_in_use import declared_queues, queues_in_use
from libs.flask_celery.records import JobFailure, JobFile, JobProgress, JobRecord, JobRecords
from libs.flask_celery.redis_checks import problems_of as redis_problems
from libs.flask_celery.repeat import run_again
from libs.flask_celery.schedules.cron import Cron, CronError
from libs.flask_celery.schedules.firing import run_now
from libs.flask_celery.schedules.schedule import Schedule, ScheduleSource
from libs.flask_celery.schedules.schedules import Schedules
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import FINAL_STATES, JobState
from libs.flask_celery.submit import SubmittedJob, submit, with_key
from libs.flask_celery.task import ContextTask
from libs.flask_celery.tracing import JobTracing, flush_in_children
from libs.flask_celery.unique import AlreadyRunningError, OccupiedTaskError, Unique, remembered_job
from libs.flask_celery.waiters import Watch
from libs.flask_celery.watch import WatchHub
from libs.flask_celery.window_counter import WindowCounter
from libs.flask_celery.worker_steps import ThreadStep

if TYPE_CHECKING:
    from libs.flask_celery.worker import celery_app

__all__ = [
    # Building
    "CelerySettings", "ContextTask", "FlaskCelery", "Role", "TellingSettings", "celery_app", "completions_table",
    "import_jobs", "make_celery",
    # Writing jobs
    "JobDescription", "JobFileStore", "JobFileSweep", "JobLimits", "JobSpec", "current_job", "describe", "job",
    "job_spec", "job_specs", "read_batch", "read_batch_jobs",
    # Using jobs
    "FINAL_STATES", "UNAVAILABLE", "JobFailure", "JobFile", "JobProgress", "JobRecord", "JobRecords", "JobState",
    "Found", "SubmissionTerms", "SubmittedJob", "Wanted", "Watch", "WatchHub", "WindowCounter", "search", "submit",
    "with_key",
    # Using batches
    "BatchItem", "BatchRecord", "BatchRecords", "Outcome", "RefusedItem", "SubmittedBatch", "Then", "ThenJob",
    "Turns", "submit_many", "watched_as",
    # Following jobs
    "LEVELS", "EventKind", "EventPage", "JobEvent", "JobFollowers", "JobHistory", "LogLine", "LogPage",
    "StateChange",
    # Scheduling them
    "Cron", "CronError", "Schedule", "ScheduleSource", "Schedules", "run_now",
    # Looking after them
    "BUCKETS", "BrokerFigures", "Counts", "DeadLetter", "DeadLetters", "FailedJob", "FailedJobs", "Failures",
    "Figures", "QueueFigures", "TaskTimes", "WorkerFigures", "WorkerSign", "broker_channel", "forget_completions",
    "kept_files", "per_minute", "quarantined", "read_figures", "read_workers", "redis_problems",
    "release_from_quarantine", "run_again", "unfinished_params",
    # Serving their queues
    "declared_queues", "queues_in_use",
    # Doing more in the workers
    "FIRST_HEADER", "JobTracing", "ThreadStep", "flush_in_children", "run_script",
    # One job at a time
    "AlreadyRunningError", "OccupiedTaskError", "Unique", "remembered_job",
    # Errors
    "BatchError", "BatchInProgressError", "BroadcastQueueError", "BrokerUnavailableError", "CancelledBatchError",
    "EmptyBatchError",
    "ExpiredBatchError", "FinalBatchError", "InterruptedBatchError", "UnknownBatchError",
    "ExpiredJobError", "FinalJobError", "FlaskCeleryError",
    "IdempotencyConflictError", "InvalidParamsError", "JobCancelled", "JobOvertaken", "NotRepeatableError",
    "OwnerLimitError", "QueueFullError", "ResultTooLargeError", "ScheduleChangedError", "ScheduleLimitError",
    "SettingError", "TooManyFilesError", "UnfinishedJobError", "UnknownJobError", "UnknownScheduleError",
    "UnknownTaskError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name != "celery_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Celery has the working directory on sys.path only while it imports -A's module, not while it looks up the
    # attribute, and the application is a package in that directory.
    from celery.utils.imports import import_from_cwd  # noqa: PLC0415

    try:
        return import_from_cwd(f"{__name__}.worker").celery_app
    except AttributeError as error:
        # Celery would read an AttributeError from here as "no such attribute" and hide what create_app() hit.
        raise RuntimeError(f"The application could not be built: {error}") from error
