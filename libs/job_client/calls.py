"""Calls that are one request: what each asks, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from . import requests
from .errors import refusal
from .flow import Flow, Request
from .model import (
    BatchOutcome,
    BatchStatus,
    DeadLetterOutcome,
    JobState,
    JobStatus,
    Submission,
    Task,
    UploadedFile,
)
from .reading import (
    batch_of,
    dead_letter_outcome_of,
    file_of,
    job_of,
    outcome_of,
    read_object,
    read_problem,
    submission_of,
    task_of,
)
from .sending import Terms, send

T = TypeVar("T")

_NOT_FOUND, _CONFLICT, _BAD = 404, 409, 400


def submitted(terms: Terms, request: Request) -> Flow[Submission]:
    """A submission, or the retry of a job."""
    reply = (yield from send(terms, request)).reply
    return submission_of(read_object(reply), reply.headers, request.idempotency_key)


def submitted_batch(terms: Terms, request: Request) -> Flow[tuple[str, tuple[BatchOutcome, ...], str | None]]:
    """Its id, what became of each job, and the id of the job that follows it."""
    data = read_object((yield from send(terms, request)).reply)
    outcomes = tuple(outcome_of(index, outcome) for index, outcome in enumerate(data["outcomes"]))
    return data["batch_id"], outcomes, (data["then"] or {}).get("task_id")


def job_status(terms: Terms, task_id: str) -> Flow[JobStatus]:
    """As it is now."""
    return (yield from _read(terms, requests.poll(task_id), job_of))


def latest_job(terms: Terms, task: str) -> Flow[JobStatus]:
    """One's newest of a task."""
    return (yield from _read(terms, requests.page(f"results/latest/{requests.segment(task)}"), job_of))


def batch_status(terms: Terms, batch_id: str) -> Flow[BatchStatus]:
    """As it is now."""
    return (yield from _read(terms, requests.poll_batch(batch_id), batch_of))


def cancelled_job(terms: Terms, task_id: str, *, terminate: bool) -> Flow[JobStatus]:
    """The job after that. A cancellation whose reply was lost may have been the one that ended it.

    Raises: ConflictError when it has ended otherwise.
    """
    request = requests.cancel("jobs", task_id, terminate=terminate)
    answer = yield from send(terms, request, tolerated=frozenset({_CONFLICT}))
    if answer.reply.status < _BAD:
        return job_of(read_object(answer.reply))
    job = yield from job_status(terms, task_id)
    if answer.after_loss and job.state is JobState.REVOKED:
        return job
    raise refusal(read_problem(answer.reply))


def cancelled_batch(terms: Terms, batch_id: str, *, terminate: bool) -> Flow[BatchStatus]:
    """The batch after that. Raises: ConflictError when all its jobs have ended."""
    request = requests.cancel("batches", batch_id, terminate=terminate)
    answer = yield from send(terms, request, tolerated=frozenset({_CONFLICT}))
    if answer.reply.status < _BAD:
        return batch_of(read_object(answer.reply))
    batch = yield from batch_status(terms, batch_id)
    if answer.after_loss and batch.as_json["cancelled_at"] is not None:
        return batch
    raise refusal(read_problem(answer.reply))


def tasks(terms: Terms) -> Flow[tuple[Task, ...]]:
    """All that can be submitted, by name."""
    return (yield from _read(terms, requests.page("tasks"), lambda data: tuple(map(task_of, data["tasks"]))))


def dead_letters_done(
    terms: Terms,
    action: str,
    task_ids: Sequence[str],
    *,
    task: str | None = None,
    since: datetime | None = None,
    owner: str | None = None,
) -> Flow[tuple[DeadLetterOutcome, ...]]:
    """An outcome for each of ``task_ids`` or, without any, of all that ``task`` and ``since`` find."""
    found: list[DeadLetterOutcome] = []
    rest = list(task_ids)
    cursor = None
    while True:
        some, rest = rest[:1000], rest[1000:]
        choice: dict[str, Any] = {"task_ids": some}
        if not some:
            choice = {"task": task, "since": since, "owner": owner, "cursor": cursor}
        data = read_object((yield from send(terms, requests.dead_letters(action, choice))).reply)
        found += map(dead_letter_outcome_of, data["outcomes"])
        cursor = None if some else data["next"]
        if not rest and cursor is None:
            return tuple(found)


def file_known(terms: Terms, file_id: str) -> Flow[UploadedFile]:
    """An input file."""
    return (yield from _read(terms, requests.page(f"files/{requests.segment(file_id)}"), file_of))


def file_removed(terms: Terms, file_id: str) -> Flow[None]:
    """Gone, by this request or one whose reply was lost. Raises: NotFoundError when there was none."""
    request = Request("DELETE", f"files/{requests.segment(file_id)}")
    answer = yield from send(terms, request, tolerated=frozenset({_NOT_FOUND}))
    if answer.reply.status == _NOT_FOUND and not answer.after_loss:
        raise refusal(read_problem(answer.reply))


def _read(terms: Terms, request: Request, read: Callable[[Mapping[str, Any]], T]) -> Flow[T]:
    return read(read_object((yield from send(terms, request)).reply))
