"""What every error is to a client: a problem document (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

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
