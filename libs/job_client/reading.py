"""From the server's JSON to values. Members that are not known here are left alone: a newer server may add some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from .errors import UnexpectedReplyError
from .flow import Reply
from .model import (
    BatchOutcome,
    BatchStatus,
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
from .retrying import retry_after_seconds

_PROBLEM = frozenset({"type", "title", "status", "detail", "errors", "request_id", "task_id"})


def read_object(reply: Reply) -> dict[str, Any]:
    """Raises: UnexpectedReplyError."""
    try:
        value = json.loads(reply.body)
    except ValueError as error:
        raise UnexpectedReplyError(reply.status, "no JSON") from error
    if not isinstance(value, dict):
        raise UnexpectedReplyError(reply.status, "not a JSON object")
    return value


def read_problem(reply: Reply) -> Problem:
    """Of any reply: what is no problem document, as a proxy may send, is told by its status."""
    retry_after = retry_after_seconds(reply.headers.get("retry-after"))
    if reply.headers.get("content-type", "").partition(";")[0] == "application/problem+json":
        try:
            return problem_of(json.loads(reply.body), retry_after)
        except (ValueError, TypeError, KeyError):
            pass  # it is told by its status then
    known = reply.status in HTTPStatus.__members__.values()
    return Problem(reply.status, HTTPStatus(reply.status).phrase if known else "", retry_after=retry_after)


def problem_of(data: Mapping[str, Any], retry_after: float | None = None) -> Problem:
    """A problem document, or what stands in the place of something that is not there."""
    return Problem(
        status=int(data["status"]),
        title=str(data.get("title", "")),
        detail=str(data.get("detail", "")),
        errors=dict(data.get("errors") or {}),
        request_id=data.get("request_id"),
        retry_after=retry_after,
        members={name: value for name, value in data.items() if name not in _PROBLEM},
    )


def submission_of(data: Mapping[str, Any], headers: Mapping[str, str], key: str | None) -> Submission:
    """Of a 202."""
    return Submission(
        task_id=data["task_id"],
        task=data["task"],
        state=JobState(data["state"]),
        idempotency_key=key,
        access_token=data["access_token"],
        replayed=headers.get("idempotent-replayed") == "true",
        already_running=headers.get("already-running") == "true",
    )


def job_of(data: Mapping[str, Any]) -> JobStatus:
    """A job as a poll shows it."""
    return JobStatus(
        task_id=data["task_id"],
        task=data["task"],
        state=JobState(data["state"]),
        state_label=data["state_label"],
        progress=progress_of(data["progress"]) if data["progress"] else None,
        result=data["result"],
        error=_failure_of(data["error"]),
        files=tuple(JobFile(file["name"], file["size"], file["content_type"]) for file in data["files"]),
        submitted_at=_time(data["submitted_at"]),
        started_at=_time(data["started_at"]),
        finished_at=_time(data["finished_at"]),
        expires_at=_time(data["expires_at"]),
        next_run_at=_time(data["next_run_at"]),
        retries=data["retries"],
        retry_of=data["retry_of"],
        retried_as=data["retried_as"],
        batch_id=data["batch_id"],
        schedule_id=data["schedule_id"],
        as_json=data,
    )


def progress_of(data: Mapping[str, Any]) -> Progress:
    """How far a job is."""
    return Progress(data["current"], data["total"], data["message"])


def log_line_of(data: Mapping[str, Any]) -> LogLine:
    """A line of a job's log."""
    return LogLine(data["number"], time_of(data["at"]), data["level"], data["message"], data["run"], data["retries"])


def task_of(data: Mapping[str, Any]) -> Task:
    """What can be submitted."""
    return Task(
        name=data["name"],
        summary=data["summary"],
        description=data["description"],
        queue=data["queue"],
        queues=tuple(data["queues"]),
        unique=data["unique"],
        limits=data["limits"],
        params=data["params"],
    )


def outcome_of(index: int, data: Mapping[str, Any]) -> BatchOutcome:
    """What became of one job of a batch."""
    accepted = data["status"] < HTTPStatus.BAD_REQUEST
    return BatchOutcome(
        index=index,
        task_id=data.get("task_id"),
        state=JobState(data["state"]) if "state" in data else None,
        problem=None if accepted else problem_of(data),
        replayed=bool(data.get("replayed")),
        already_running=bool(data.get("already_running")),
    )


def batch_of(data: Mapping[str, Any]) -> BatchStatus:
    """How far a batch is."""
    return BatchStatus(
        batch_id=data["batch_id"],
        total=data["total"],
        accepted=data["accepted"],
        counts={JobState(state): count for state, count in data["counts"].items()},
        complete=data["complete"],
        ready=data["ready"],
        then_task_id=(data["then"] or {}).get("task_id"),
        as_json=data,
    )


def dead_letter_of(data: Mapping[str, Any]) -> DeadLetter:
    """A failed job."""
    error = _failure_of(data["error"])
    return DeadLetter(data["task_id"], data["task"], data["owner"], data["queue"], time_of(data["failed_at"]), error)


def dead_letter_outcome_of(data: Mapping[str, Any]) -> DeadLetterOutcome:
    """What was done with a failed job."""
    problem = problem_of(data) if "status" in data else None
    return DeadLetterOutcome(data["task_id"], data.get("retried_as"), bool(data.get("dropped")), problem)


def file_of(data: Mapping[str, Any]) -> UploadedFile:
    """An input file."""
    return UploadedFile(
        file_id=data["file_id"],
        name=data["name"],
        size=data["size"],
        content_type=data["content_type"],
        sha256=data["sha256"],
        created_at=time_of(data["created_at"]),
        expires_at=_time(data["expires_at"]),
    )


def time_of(text: str) -> datetime:
    """RFC 3339."""
    return datetime.fromisoformat(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else time_of(text)


def _failure_of(data: Mapping[str, Any] | None) -> Failure | None:
    return Failure(data["type"], data["message"]) if data else None
