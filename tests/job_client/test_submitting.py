"""Submitting, cancelling, running again, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from libs.job_client import (
    AccessError,
    ConflictError,
    InvalidRequestError,
    JobCancelled,
    JobClient,
    JobState,
    NotFoundError,
    Options,
)
from tests.job_client.conftest import Server

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def test_a_job_is_submitted_and_answers_its_result(client: Any) -> None:
    job = client.submit("maintenance.adds", a=1, b=2)

    assert job.result(timeout=60) == 3
    status = job.status()
    assert (status.task_id, status.task, status.state) == (job.task_id, "maintenance.adds", JobState.SUCCESS)
    assert (status.successful, status.ready, status.error, status.retries) == (True, True, None, 0)
    assert datetime.now(UTC) - timedelta(minutes=5) < status.submitted_at <= status.started_at <= status.finished_at
    assert client.job(job.task_id).result() == 3
    assert client.latest("maintenance.adds").task_id == job.task_id


def test_the_same_key_is_the_same_job_and_another_call_another_one(client: Any) -> None:
    key = f'odd "name" \\ {uuid4()}'

    first = client.submit("maintenance.adds", Options(idempotency_key=key), a=1, b=2)
    again = client.submit("maintenance.adds", Options(idempotency_key=key), a=1, b=2)
    other = client.submit("maintenance.adds", a=1, b=2)

    assert again.task_id == first.task_id != other.task_id
    assert (first.submission.replayed, again.submission.replayed) == (False, True)
    assert first.submission.idempotency_key == key
    with pytest.raises(InvalidRequestError, match="was used for another submission"):
        client.submit("maintenance.adds", Options(idempotency_key=key), a=2, b=2)


def test_options_are_kept(client: Any) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    later = client.submit("maintenance.adds", Options(at=at, priority=3, cancel_after=7_200), a=1, b=2)
    never = client.submit("maintenance.adds", Options(delay=3_600, expires=7_200.5), a=1, b=2)

    assert later.status().next_run_at == at
    assert never.status().state is JobState.PENDING
    with pytest.raises(InvalidRequestError) as refused:
        client.submit("maintenance.adds", Options(queue="nobody's"), a=1, b=2)
    assert "queue" in str(refused.value.problem.errors)
    for job in (later, never):
        assert job.cancel().state is JobState.REVOKED


def test_a_time_without_a_zone_is_refused_before_it_is_sent(plain_client: JobClient) -> None:
    with pytest.raises(ValueError, match="zone"):
        plain_client.submit("maintenance.adds", Options(at=datetime(2027, 1, 1)), a=1, b=2)


def test_what_is_refused_says_why_by_field(client: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        client.submit("maintenance.adds", a="one")

    problem = refused.value.problem
    assert problem.status == 422
    assert set(problem.errors) == {"a", "b"}
    assert problem.request_id
    assert "maintenance.adds" in str(refused.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.submit("no.such/task?", a=1),
        lambda client: client.job(UNKNOWN).status(),
        lambda client: client.job(UNKNOWN).result(timeout=5),
        lambda client: list(client.job(UNKNOWN).events()),
        lambda client: list(client.job(UNKNOWN).logs()),
        lambda client: client.job(UNKNOWN).cancel(),
        lambda client: client.job(UNKNOWN).retry(),
        lambda client: client.file(UNKNOWN),
        lambda client: client.remove_file(UNKNOWN),
        lambda client: client.download(UNKNOWN, "/nowhere/at/all"),
    ],
)
def test_what_is_not_there(client: Any, call: Any) -> None:
    with pytest.raises((NotFoundError, FileNotFoundError)):
        call(client)


def test_a_wrong_key_is_an_access_error(server: Server) -> None:
    with JobClient(server.url, "tg_000000000000_wrong") as client, pytest.raises(AccessError) as refused:
        client.submit("maintenance.adds", a=1, b=2)

    assert refused.value.problem.status == 401


def test_a_cancelled_job_raises_and_can_be_run_again(client: Any) -> None:
    job = client.submit("maintenance.adds", Options(delay=3_600), a=20, b=1)

    assert job.cancel().state is JobState.REVOKED

    with pytest.raises(JobCancelled) as cancelled:
        job.result(timeout=10)
    assert cancelled.value.job.task_id == job.task_id
    with pytest.raises(ConflictError):
        job.cancel()
    again = job.retry()
    assert again.task_id != job.task_id
    assert again.result(timeout=60) == 21
    assert again.status().retry_of == job.task_id
