"""Every error as a problem document (RFC 9457). The one place where an exception becomes an HTTP status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, json, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as WerkzeugResponse

from libs.flask_celery import (
    UNAVAILABLE,
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
    OwnerLimitError,
    QueueFullError,
    UnfinishedJobError,
    UnknownJobError,
    UnknownTaskError,
)

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

#: Seconds after which a client may try again when Redis is away.
RETRY_AFTER = 2

#: And when a queue, or the caller's share of the service, is full.
RETRY_AFTER_FULL = 10


class ProblemError(Exception):
    """An answer that is an error, raised by resources and services of the HTTP side.

    Args:
        status: the HTTP status.
        detail: a full sentence that says what to do.
        errors: messages by field, for a body or query that does not validate.
        headers: further response headers.
        members: further members of the problem document.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}
        self.members = members or {}


def problem_fields(problem: ProblemError) -> dict[str, Any]:
    """The problem as JSON. ``type`` is about:blank: the status says what kind of problem it is (RFC 9457, 4.2.1)."""
    fields: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.errors:
        fields["errors"] = problem.errors
    return {**fields, **problem.members}


def problem_response(problem: ProblemError) -> Response:
    """The problem document, with the request's id."""
    body = problem_fields(problem)
    if "request_id" in g:
        body["request_id"] = g.request_id
    response = Response(json.dumps(body), status=problem.status, content_type=CONTENT_TYPE)
    response.headers.update(problem.headers)
    return response


def as_problem(error: Exception) -> ProblemError:
    """The problem that an exception is to a client. What is not known here is a 500 that tells nothing."""
    match error:
        case ProblemError():
            return error
        case InvalidParamsError() | IdempotencyConflictError() | QueueFullError() | OwnerLimitError():
            return _of_refusal(error)
        case ValidationError():
            return ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The request is not valid; see errors.",
                errors=error.normalized_messages(),  # type: ignore[no-untyped-call]
            )
        case BatchError():
            return _of_batch(error)
        case UnknownTaskError():
            return ProblemError(
                HTTPStatus.NOT_FOUND, f"There is no such task. GET {_api('tasks')} lists what can be submitted."
            )
        case UnknownJobError() | ExpiredJobError() | FinalJobError() | UnfinishedJobError() | NotRepeatableError():
            return _of_job(error)
        case _ if isinstance(error, (BrokerUnavailableError, *UNAVAILABLE)):
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The job queue is away for the moment. Try again after Retry-After seconds.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        case HTTPException():
            return _of_http_exception(error)
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong on our side. Try again; if it stays, report the request_id.",
    )


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
                HTTPStatus.GONE, "What the job was submitted with is not kept any more. Submit it again yourself."
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


def handle(error: Exception) -> WerkzeugResponse:
    """Flask's handler of every exception."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < HTTPStatus.BAD_REQUEST:
        return error.get_response(request.environ)  # a redirect
    problem = as_problem(error)
    if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = error.original_exception if isinstance(error, InternalServerError) else error
        # The path without its query: a query can carry a token. Quoted: it can carry line ends.
        logger.error("Unhandled error in %s %r", request.method, request.path, exc_info=cause)
    return problem_response(problem)


def init_app(app: Flask) -> None:
    """Answer every exception of ``app``, also those werkzeug raises for unknown URLs, with a problem document."""
    app.register_error_handler(Exception, handle)


_DETAILS = {
    400: "The request cannot be understood. Check its syntax.",
    404: "There is nothing at this address. GET /api/1.0/openapi.json lists what there is.",
    405: "This address does not take this method; see Allow.",
    413: "The request is larger than this service accepts.",
    414: "The address is longer than this service accepts.",
    415: "Send the body as the media type that the documentation names.",
    416: "The range lies outside of the file; Content-Range has its size.",
}


def _of_http_exception(error: HTTPException) -> ProblemError:
    """The texts of werkzeug can repeat the client's input, so only its status and headers are taken over."""
    status = HTTPStatus(error.code or 500)
    headers = {
        name: value for name, value in error.get_headers() if name.lower() not in ("content-type", "content-length")
    }
    other = f"{status.description or status.phrase}; GET {_api('openapi.json')} says what this service takes."
    return ProblemError(status, _DETAILS.get(status.value, other), headers=headers)


def _api(path: str) -> str:
    return f"/api/1.0/{path}"
