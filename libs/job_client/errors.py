"""What can go wrong, as exceptions with the facts as attributes. None of them holds a key or a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import JobStatus, Problem


class JobClientError(Exception):
    """Every error of this client."""


class UnreachableError(JobClientError):
    """No reply, again and again. A submission may have been accepted: the same key asks for the same job.

    Args:
        tries: how many there were.
        idempotency_key: of the submission, to go on with it later.
    """

    def __init__(self, url: str, tries: int, reason: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(f"No reply from {url} in {tries} {'try' if tries == 1 else 'tries'}: {reason}")
        self.url = url
        self.tries = tries
        self.idempotency_key = idempotency_key


class UnexpectedReplyError(JobClientError):
    """A reply that this API does not give: something else answers at this address."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"Not an answer of this API (HTTP {status}): {why}")
        self.status = status


class RefusedError(JobClientError):
    """The server has answered with a problem document (RFC 9457)."""

    def __init__(self, problem: Problem, *, idempotency_key: str | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.idempotency_key = idempotency_key


class InvalidRequestError(RefusedError):
    """400, 413, 415, 416, 422: what was sent cannot be taken; ``problem.errors`` has messages by field."""


class AccessError(RefusedError):
    """401 or 403: the key does not work, or lacks a scope."""


class NotFoundError(RefusedError):
    """404: unknown, or somebody else's."""


class ExpiredError(RefusedError):
    """410: it was there, and is kept no longer."""


class ConflictError(RefusedError):
    """409 or 412: not in this state."""


class BusyError(RefusedError):
    """429, 502, 503, 504, again and again; ``problem.retry_after`` says when to come again, if the server did."""


class JobFailed(JobClientError):
    """The job has ended with an error."""

    def __init__(self, job: JobStatus) -> None:
        failure = job.error
        super().__init__(f"{job.task} {job.task_id} failed" + (f": {failure}" if failure else ""))
        self.job = job


class JobCancelled(JobClientError):
    """The job was cancelled, or had not started by its ``expires``."""

    def __init__(self, job: JobStatus) -> None:
        super().__init__(f"{job.task} {job.task_id} was cancelled" + (f": {job.error.message}" if job.error else ""))
        self.job = job


class ResultTimeoutError(JobClientError, TimeoutError):
    """The job has not ended in time. It goes on; wait again, or cancel it. ``job`` is what was known last."""

    def __init__(self, what: str, timeout: float, job: JobStatus | None = None) -> None:
        state = f"; it is {job.state}" if job else ""
        super().__init__(f"{what} has not ended within {timeout:g} s{state}")
        self.timeout = timeout
        self.job = job


_BY_STATUS: dict[int, type[RefusedError]] = {
    **dict.fromkeys((400, 413, 415, 416, 422), InvalidRequestError),
    **dict.fromkeys((401, 403), AccessError),
    **dict.fromkeys((409, 412), ConflictError),
    **dict.fromkeys((429, 502, 503, 504), BusyError),
    404: NotFoundError,
    410: ExpiredError,
}


def refusal(problem: Problem, *, idempotency_key: str | None = None) -> RefusedError:
    """The exception that a problem is."""
    return _BY_STATUS.get(problem.status, RefusedError)(problem, idempotency_key=idempotency_key)
