"""The problems that the library's errors are to a client."""

from http import HTTPStatus

from app.problem import RETRY_AFTER, RETRY_AFTER_FULL, ProblemError
from libs.flask_celery import (
    UNAVAILABLE,
    AlreadyRunningError,
    BatchError,
    BatchInProgressError,
    BrokerUnavailableError,
    CancelledBatchError,
    ExpiredBatchError,
    ExpiredJobError,
    FinalBatchError,
    FinalJobError,
    IdempotencyConflictError,
    InvalidParamsError,
    NotRepeatableError,
    OccupiedTaskError,
    OwnerLimitError,
    QueueFullError,
    ScheduleChangedError,
    ScheduleLimitError,
    UnfinishedJobError,
    UnknownJobError,
    UnknownScheduleError,
    UnknownTaskError,
)


def of_library(error: Exception) -> ProblemError | None:
    """None for an error that is not one of the library's, or none of the client's business."""
    match error:
        case InvalidParamsError() | IdempotencyConflictError() | QueueFullError() | OwnerLimitError():
            return _of_refusal(error)
        case AlreadyRunningError() | OccupiedTaskError():
            return ProblemError(
                HTTPStatus.CONFLICT,
                "Another job of this task is under way, and there is one at a time. Try again when that has ended.",
                headers={"Retry-After": str(RETRY_AFTER_FULL)},
            )
        case BatchError():
            return _of_batch(error)
        case UnknownTaskError():
            return ProblemError(
                HTTPStatus.NOT_FOUND, f"There is no such task. GET {_api('tasks')} lists what can be submitted."
            )
        case UnknownJobError() | ExpiredJobError() | FinalJobError() | UnfinishedJobError() | NotRepeatableError():
            return _of_job(error)
        case UnknownScheduleError() | ScheduleLimitError() | ScheduleChangedError():
            return _of_schedule(error)
        case _ if isinstance(error, (BrokerUnavailableError, *UNAVAILABLE)):
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The job queue is away for the moment. Try again after Retry-After seconds.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
    return None


def _of_refusal(
    error: InvalidParamsError | IdempotencyConflictError | QueueFullError | OwnerLimitError,
) -> ProblemError:
    """Why a job was not accepted."""
    later = {"Retry-After": str(RETRY_AFTER_FULL)}
    match error:
        case InvalidParamsError():
            return ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"The params of {error.task} are not valid; see errors, and GET {_api('tasks')}/{error.task} "
                "for their schema.",
                errors=error.messages,
            )
        case IdempotencyConflictError():
            return ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another submission. Send the same one again, or take a new key.",
            )
        case QueueFullError():
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The job's queue is full for the moment. Try again after Retry-After seconds.",
                headers=later,
            )
        case OwnerLimitError():
            return ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"You have {error.limit} unfinished jobs, the most there may be. Wait until some have ended, or "
                "cancel some.",
                headers=later,
            )


def _of_job(
    error: UnknownJobError | ExpiredJobError | FinalJobError | UnfinishedJobError | NotRepeatableError,
) -> ProblemError:
    """Why nothing can be said of a job, or done with it."""
    match error:
        case UnknownJobError():
            return ProblemError(
                HTTPStatus.NOT_FOUND, "There is no such job. Use the task_id that the submission answered."
            )
        case ExpiredJobError():
            return ProblemError(
                HTTPStatus.GONE, "The job's result has expired. Submit the job again to have it anew."
            )
        case FinalJobError():
            return ProblemError(
                HTTPStatus.CONFLICT, f"The job has ended already, as {error.state}; there is nothing to cancel."
            )
        case UnfinishedJobError():
            return ProblemError(
                HTTPStatus.CONFLICT,
                "The job has not ended yet. Wait for its end, or cancel it, and run it again then.",
            )
        case NotRepeatableError():
            return ProblemError(
                HTTPStatus.GONE,
                "What the job was submitted with is not kept, or not accepted, any more. Submit it again yourself.",
            )


def _of_batch(error: BatchError) -> ProblemError:
    match error:
        case ExpiredBatchError():
            return ProblemError(HTTPStatus.GONE, "The batch has expired, and so have the results of its jobs.")
        case FinalBatchError():
            return ProblemError(HTTPStatus.CONFLICT, "All jobs of the batch have ended; there is nothing to cancel.")
        case CancelledBatchError():
            return ProblemError(HTTPStatus.CONFLICT, "The batch was cancelled before this job of it was accepted.")
        case BatchInProgressError():
            return ProblemError(
                HTTPStatus.CONFLICT,
                "Another request is submitting this very batch. Send it again after Retry-After seconds.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
    return ProblemError(
        HTTPStatus.NOT_FOUND, "There is no such batch. Use the batch_id that the submission answered."
    )


def _of_schedule(error: UnknownScheduleError | ScheduleLimitError | ScheduleChangedError) -> ProblemError:
    match error:
        case UnknownScheduleError():
            return ProblemError(
                HTTPStatus.NOT_FOUND, f"There is no such schedule. GET {_api('schedules')} lists what there is."
            )
        case ScheduleLimitError():
            return ProblemError(
                HTTPStatus.CONFLICT, f"You have {error.limit} schedules, the most there may be. Remove one first."
            )
        case ScheduleChangedError():
            return ProblemError(
                HTTPStatus.PRECONDITION_FAILED,
                "The schedule has been changed since. Get it again, and send its ETag as If-Match.",
            )


def _api(path: str) -> str:
    return f"/api/1.0/{path}"
