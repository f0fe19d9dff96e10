"""Tasks, jobs in pages, and batches as they complete."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.job_client import ConflictError, InvalidRequestError, JobState, ResultTimeoutError


def test_tasks_come_with_their_schemas(client: Any) -> None:
    tasks = {task.name: task for task in client.tasks()}

    assert tasks["maintenance.adds"].params["required"] == ["a", "b"]
    assert tasks["maintenance.adds"].queue in tasks["maintenance.adds"].queues
    assert tasks["maintenance.refresh_onboard_table"].unique == "owner"


def test_a_batch_is_told_as_its_jobs_end_and_jobs_are_listed_over_pages(client: Any) -> None:
    since = datetime.now(UTC)
    batch = client.batch("maintenance.adds", ({"a": n, "b": 1} for n in range(130)))
    assert [outcome.index for outcome in batch.outcomes] == list(range(130))
    assert batch.refused == []

    ended = {completed.index: completed.job for completed in batch.as_completed(timeout=120)}

    assert {index: job.result for index, job in ended.items()} == {n: n + 1 for n in range(130)}
    status = batch.wait(timeout=30)
    assert (status.total, status.ready, status.counts[JobState.SUCCESS]) == (130, True, 130)
    assert batch.status().ready
    listed = list(client.jobs(task="maintenance.adds", state=[JobState.SUCCESS, "FAILURE"], since=since))
    assert {job.task_id for job in listed} == {job.task_id for job in ended.values()}
    assert list(client.jobs(state="FAILURE", since=since)) == []
    assert list(client.jobs(until=since, since=since)) == []


def test_refused_jobs_of_a_batch_are_told_with_the_reason(client: Any) -> None:
    batch = client.batch("maintenance.adds", [{"a": 1, "b": 1}, {"a": "x", "b": 1}])

    found = sorted(batch.as_completed(timeout=60), key=lambda completed: completed.index)

    assert found[0].job.result == 2
    assert (found[1].job, found[1].problem.status) == (None, 422)
    assert [outcome.index for outcome in batch.refused] == [1]
    with pytest.raises(InvalidRequestError):
        client.batch("maintenance.adds", [{"a": "x"}])


def test_a_batch_under_its_key_is_one_batch(client: Any) -> None:
    key = f"batch-{time.monotonic_ns()}"

    first, again = (client.batch("maintenance.adds", [{"a": 1, "b": 1}], idempotency_key=key) for _ in range(2))

    assert first.batch_id == again.batch_id
    assert first.outcomes[0].task_id == again.outcomes[0].task_id


def test_a_batch_is_followed_by_its_job(client: Any) -> None:
    batch = client.batch("maintenance.adds", [{"a": n, "b": 1} for n in range(3)], then=("batches.collect", {}))

    assert batch.wait(timeout=60).then_task_id == batch.then.task_id


def test_a_batch_that_takes_too_long_is_a_time_out_and_can_be_cancelled(client: Any) -> None:
    batch = client.batch("maintenance.adds", [{"a": n, "b": 1} for n in range(500)])

    with pytest.raises(ResultTimeoutError):
        batch.wait(timeout=0.01)
    with pytest.raises(ResultTimeoutError):
        list(batch.as_completed(timeout=0.01))
    assert batch.cancel().as_json["cancelled_at"] is not None

    ended = {completed.index: completed.job.state for completed in batch.as_completed(timeout=60)}
    assert set(ended) == set(range(500))
    assert set(ended.values()) <= {JobState.SUCCESS, JobState.REVOKED}
    assert JobState.REVOKED in ended.values()
    with pytest.raises(ConflictError):
        batch.cancel()
