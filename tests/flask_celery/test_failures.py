"""The list of failures: every job that ends as one is in it, once, and it has an end."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from celery.app.task import Context

from libs.flask_celery import DeadLetters, FailedJobs, FlaskCelery, failure_script
from libs.flask_celery.failure_script import MOST_FAILURES
from libs.flask_celery.keys import RecordKeys
from tests.conftest import wait_until

ERROR = {"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}


@pytest.fixture
def failed_jobs(celery_app: FlaskCelery) -> FailedJobs:
    return FailedJobs(celery_app)


@pytest.fixture
def index(celery_app: FlaskCelery) -> str:
    keys: RecordKeys = celery_app.backend.keys
    return keys.failures


def end(celery_app: FlaskCelery, task: str = "a", state: str = "FAILURE", task_id: str = "") -> str:
    task_id = task_id or str(uuid4())
    result = ERROR if state == "FAILURE" else None
    celery_app.backend.store_state(task_id, result, state, request=Context(id=task_id, task=task))
    return task_id


def test_failures_of_a_time_are_counted_by_task_and_the_newest_are_told(
    celery_app: FlaskCelery, failed_jobs: FailedJobs
) -> None:
    before = failed_jobs.now()
    for state in ("SUCCESS", "REVOKED", "STARTED", "RETRY"):
        end(celery_app, "a", state)
    ids = [end(celery_app, "a")]
    first = failed_jobs.now()
    wait_until(lambda: failed_jobs.now() > first, what="the next millisecond: those of one are in no order")
    ids += [end(celery_app, "b"), end(celery_app, "b")]
    until = failed_jobs.now() + 1

    found = failed_jobs.between(before, until, newest=2)

    assert (found.total, list(found.by_task.items()), found.complete) == (3, [("b", 2), ("a", 1)], True)
    assert {job.task_id for job in found.newest} < set(ids)
    [newest, _] = found.newest
    assert (newest.task, newest.owner, newest.failure and newest.failure.message) == ("b", "", "no")
    assert failed_jobs.between(0, before, newest=2).total == 0


def test_neighbouring_times_share_no_failure_and_miss_none(
    celery_app: FlaskCelery, failed_jobs: FailedJobs, index: str
) -> None:
    ids = {end(celery_app) for _ in range(3)}
    for offset, task_id in enumerate(ids):
        celery_app.backend.client.zadd(index, {task_id: 1_000 + offset})

    parts = [failed_jobs.between(since, until, newest=9).newest for since, until in ((0, 1_001), (1_001, 1_002))]
    parts.append(failed_jobs.between(1_002, failed_jobs.now(), newest=9).newest)

    assert [len(part) for part in parts] == [1, 1, 1]
    assert {job.task_id for part in parts for job in part} == ids


def test_the_time_is_the_servers_whatever_the_workers_clock_says(
    celery_app: FlaskCelery, failed_jobs: FailedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = failed_jobs.now()
    monkeypatch.setattr("libs.flask_celery.state_store.now_ms", lambda: before - 3_600_000)

    end(celery_app)

    assert failed_jobs.between(before, failed_jobs.now() + 1, newest=1).total == 1


def test_one_that_is_dropped_from_the_dead_letters_has_failed_all_the_same(
    celery_app: FlaskCelery, failed_jobs: FailedJobs
) -> None:
    with celery_app.flask_app.app_context():
        task_id = celery_app.tasks["maintenance.adds"].apply_async((1, 2)).id
    end(celery_app, "maintenance.adds", task_id=task_id)

    assert DeadLetters(celery_app).drop(task_id)

    assert failed_jobs.between(0, failed_jobs.now() + 1, newest=1).total == 1


def test_one_whose_record_has_expired_is_known_by_its_task(celery_app: FlaskCelery, failed_jobs: FailedJobs) -> None:
    task_id = end(celery_app, "a")
    celery_app.backend.client.delete(celery_app.backend.keys.meta(task_id))

    [job] = failed_jobs.between(0, failed_jobs.now() + 1, newest=5).newest

    assert (job.task_id, job.task, job.failure) == (task_id, "a", None)


def test_it_is_bounded_by_number_and_by_age(celery_app: FlaskCelery, failed_jobs: FailedJobs, index: str) -> None:
    client, now = celery_app.backend.client, failed_jobs.now()
    client.zadd(index, {f"old-{number}": 1 + number for number in range(10)})
    end(celery_app)
    assert client.zcard(index) == 1

    client.zadd(index, {f"new-{number}": now - MOST_FAILURES + number for number in range(MOST_FAILURES)})
    end(celery_app)

    assert client.zcard(index) == MOST_FAILURES
    began = time.monotonic()
    found = failed_jobs.between(0, failed_jobs.now() + 1, newest=20)
    assert (found.total, found.complete, len(found.newest)) == (MOST_FAILURES, False, 20)
    assert time.monotonic() - began < 20  # 0.2 s alone on a machine
    assert failed_jobs.between(now - 5, failed_jobs.now() + 1, newest=20).complete


def test_it_keeps_what_the_ids_of_jobs_are_kept_for() -> None:
    from libs.flask_celery.backend import DEFAULT_RETENTION

    assert failure_script._KEPT == (DEFAULT_RETENTION + 86_400) * 1000


def test_what_a_stock_worker_has_failed_is_in_it_when_it_is_found(
    celery_app: FlaskCelery, failed_jobs: FailedJobs
) -> None:
    """It tells the record alone, and the reconciler counts the job out."""
    with celery_app.flask_app.app_context():
        task_id = celery_app.tasks["maintenance.adds"].apply_async((1, 2)).id
    stored = {"status": "FAILURE", "result": ERROR, "traceback": None, "children": [], "task_id": task_id}
    celery_app.backend.client.set(celery_app.backend.keys.meta(task_id), celery_app.backend.encode(stored))

    for _ in range(2):
        celery_app.backend.count_out(task_id)

    [job] = failed_jobs.between(0, failed_jobs.now() + 1, newest=5).newest
    assert (job.task_id, job.task) == (task_id, "maintenance.adds")
