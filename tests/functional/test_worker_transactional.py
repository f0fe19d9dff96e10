"""Transactional jobs in a worker that lives: what commits, what rolls back, and what is tried again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from app.extensions import db
from app.models import job_completions
from libs.flask_celery import JobState, forget_completions
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, is_sqlite, start_probe_worker


@pytest.fixture(scope="module")
def runs(transactional_runs: JobRuns) -> JobRuns:
    """With one prefork worker of two processes."""
    start_probe_worker(transactional_runs, "--pool", "prefork", "--concurrency", "2")
    return transactional_runs


def completed(runs: JobRuns, task_id: str) -> int:
    """How many completions there are of the job."""
    with runs.installation.app.app_context():
        return db.session.query(job_completions).filter_by(task_id=task_id).count()


def test_a_job_and_its_completion_are_committed_together(runs: JobRuns) -> None:
    record = runs.run("apply_once")

    assert record.state is JobState.SUCCESS
    assert runs.effects(record.task_id) == [record.result]
    assert completed(runs, record.task_id) == 1


def test_another_job_leaves_no_completion(runs: JobRuns) -> None:
    record = runs.run("apply_each_time")

    assert runs.effects(record.task_id) == [record.result]
    assert completed(runs, record.task_id) == 0


def test_a_job_that_was_completed_is_not_run_again(runs: JobRuns) -> None:
    """Its record is gone, so that nothing but the completion can tell."""
    for name, count in (("apply_once", 1), ("apply_each_time", 2)):
        first = runs.run(name)
        runs.celery.backend.client.delete(*runs.celery.backend.client.keys(f"*{first.task_id}*"))

        second = runs.run(name, task_id=first.task_id)

        assert len(runs.effects(first.task_id)) == runs.noted(first.task_id) == count
        assert (second.result == first.result) is (count == 1)


@pytest.mark.parametrize(
    ("how", "failure"),
    [
        ("failure", "ValueError"),
        ("own collision", "IntegrityError"),
        ("collision at commit", "IntegrityError"),
        ("not JSON", "TypeError"),
        ("commit", "InvalidRequestError"),
    ],
)
def test_a_job_that_fails_rolls_back_and_leaves_no_completion(runs: JobRuns, how: str, failure: str) -> None:
    record = runs.run("apply_once", how)

    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, failure)
    assert (runs.effects(record.task_id), completed(runs, record.task_id)) == ([], 0)
    assert runs.run("apply_once").state is JobState.SUCCESS  # the session is usable again


@pytest.mark.parametrize(
    ("limit", "failure"),
    [({"soft_time_limit": 1}, "SoftTimeLimitExceeded"), ({"time_limit": 1}, "TimeLimitExceeded")],
)
def test_a_time_limit_leaves_nothing(runs: JobRuns, limit: dict[str, int], failure: str) -> None:
    record = runs.run("apply_once", "hang", **limit)

    assert record.failure is not None
    assert record.failure.type == failure
    assert (runs.effects(record.task_id), completed(runs, record.task_id)) == ([], 0)


def test_a_cancelled_job_leaves_nothing(runs: JobRuns) -> None:
    job = runs.publish("apply_once", "until cancelled")
    runs.wait_for_state(job.id, JobState.PROGRESS)

    runs.celery.backend.records.cancel(job.id)

    assert runs.ended(job.id).state is JobState.REVOKED
    assert (runs.effects(job.id), completed(runs, job.id)) == ([], 0)


@pytest.mark.parametrize("how", ["ignore", "reject"])
def test_a_job_that_gives_up_its_run_leaves_nothing(runs: JobRuns, how: str) -> None:
    job = runs.publish("apply_once", how)

    runs.notes(job.id)
    wait_until(lambda: not runs.is_queued(job.id), what="the acknowledgement")
    assert (runs.effects(job.id), completed(runs, job.id)) == ([], 0)


def test_a_job_that_asks_for_a_retry_applies_the_last_run(runs: JobRuns) -> None:
    record = runs.run("apply_once", "failure once")

    assert (record.state, runs.noted(record.task_id)) == (JobState.SUCCESS, 2)
    assert runs.effects(record.task_id) == [record.result]


def test_a_job_that_is_replaced_leaves_its_id_to_the_one_that_replaces_it(runs: JobRuns) -> None:
    record = runs.run("apply_once", "replace")

    assert record.result == runs.notes(record.task_id)[0]["run"]
    assert runs.effects(record.task_id) == []


def test_savepoints_are_the_jobs_own(runs: JobRuns) -> None:
    record = runs.run("apply_once", "savepoint")

    assert record.state is JobState.SUCCESS
    assert (len(runs.effects(record.task_id)), runs.rows(record.task_id)) == (1, 1)


def test_an_ignored_result_is_kept_for_a_second_run_alone(runs: JobRuns) -> None:
    record = runs.run("apply_once", ignore_result=True)

    assert (record.state, record.result) == (JobState.SUCCESS, None)
    assert (len(runs.effects(record.task_id)), completed(runs, record.task_id)) == (1, 1)


@pytest.mark.parametrize("how", ["answer is lost", "hook fails"])
def test_what_goes_wrong_after_the_commit_does_not_undo_it(runs: JobRuns, how: str) -> None:
    record = runs.run("apply_once", how)

    assert (record.state, runs.noted(record.task_id)) == (JobState.SUCCESS, 1)
    assert runs.effects(record.task_id) == [record.result]


@pytest.mark.parametrize("how", ["wait", "write and wait", "slow commit"])
def test_of_two_runs_at_once_one_is_applied(runs: JobRuns, how: str) -> None:
    if is_sqlite(runs) and how == "write and wait":
        pytest.skip("SQLite has one writer at a time")
    for name, count in (("apply_once", 1), ("apply_each_time", 2)):
        first = runs.publish(name, how)
        runs.notes(first.id)
        runs.deliver_again(first.id)
        runs.notes(first.id, 4 if how == "write and wait" else 2)
        for _ in range(2):
            runs.say_go(first.id)

        record = runs.ended(first.id)
        wait_until(lambda: not runs.is_queued(first.id), what="the end of both")  # noqa: B023

        assert record.state is JobState.SUCCESS
        assert len(runs.effects(first.id)) == count
        assert record.result in runs.effects(first.id)


def test_postgresql_broke_the_transaction_off(runs: JobRuns) -> None:
    if is_sqlite(runs):
        pytest.skip("a matter of servers")

    record = runs.run("apply_once", "broken off once")

    assert (record.state, runs.noted(record.task_id)) == (JobState.SUCCESS, 2)
    assert runs.effects(record.task_id) == [record.result]


@pytest.fixture
def sqlite_writer(runs: JobRuns) -> Iterator[sqlite3.Connection]:
    """Another writer, which holds the lock until it commits."""
    if not is_sqlite(runs):
        pytest.skip("SQLite has one writer at a time")
    with runs.installation.app.app_context():
        path = db.engine.url.database
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_a_job_that_found_sqlite_locked_is_retried(runs: JobRuns, sqlite_writer: sqlite3.Connection) -> None:
    job = runs.publish("apply_once")

    runs.wait_for_state(job.id, JobState.RETRY)
    sqlite_writer.execute("COMMIT")

    record = runs.ended(job.id)
    assert (record.state, runs.noted(job.id)) == (JobState.SUCCESS, 2)
    assert runs.effects(job.id) == [record.result]


def test_a_job_that_has_only_read_waits_for_sqlite_and_is_not_run_again(
    runs: JobRuns, sqlite_writer: sqlite3.Connection
) -> None:
    """For longer than the connection's busy_timeout of 5 s."""
    job = runs.publish("apply_once", "read only")
    runs.notes(job.id)
    states, end = set(), time.monotonic() + 7

    def waited() -> bool:
        states.add(runs.state(job.id))
        return time.monotonic() > end

    wait_until(waited)
    sqlite_writer.execute("COMMIT")

    assert runs.ended(job.id).state is JobState.SUCCESS
    assert (states, runs.noted(job.id)) == ({JobState.STARTED}, 1)


def test_a_long_job_holds_no_lock_before_it_writes(runs: JobRuns) -> None:
    waiting = runs.publish("apply_once", "wait")
    runs.notes(waiting.id)

    assert runs.run("apply_once").state is JobState.SUCCESS

    runs.say_go(waiting.id)
    assert runs.ended(waiting.id).state is JobState.SUCCESS


def test_completions_are_forgotten_when_no_delivery_can_come(runs: JobRuns) -> None:
    app = runs.installation.app
    final, gone, running = [runs.run("apply_once").task_id for _ in range(3)]
    backend = runs.celery.backend
    backend.client.delete(backend.keys.ledger(gone), backend.keys.meta(gone))
    backend.client.hset(backend.keys.ledger(running), "state", "STARTED")  # its worker was killed, long ago

    def kept() -> list[str]:
        return [task_id for task_id in (final, gone, running) if completed(runs, task_id)]

    assert forget_completions(app, timedelta(hours=1)) == 0
    assert kept() == [final, gone, running]
    while forget_completions(app, timedelta(0), limit=2) == 2:
        pass
    assert kept() == [running]
    backend.client.hset(backend.keys.ledger(running), "state", "SUCCESS")
    assert forget_completions(app, timedelta(0)) == 1
