"""A job's database work: one transaction, which ends as the job ends."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture
def name() -> str:
    return uuid4().hex


def test_a_job_that_succeeds_commits_before_success_can_be_seen(runs: JobRuns, name: str) -> None:
    job = runs.publish("write_row", name, "slow commit")

    runs.notes(job.id)
    assert runs.rows(name) == 0
    assert runs.ended(job.id).state is JobState.SUCCESS
    assert runs.rows(name) == 1


def test_a_job_that_fails_rolls_back(runs: JobRuns, name: str) -> None:
    record = runs.run("write_row", name, "failure")

    assert record.state is JobState.FAILURE
    assert runs.rows(name) == 0


def test_hooks_after_a_failure_see_the_rows_gone(runs: JobRuns) -> None:
    job = runs.publish("fail_after_write")

    assert runs.notes(job.id) == [{"rows": 0}]


def test_a_commit_that_fails_makes_the_job_a_failure(runs: JobRuns, name: str) -> None:
    record = runs.run("write_row", name, "failing commit")

    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "IntegrityError")
    assert runs.rows(name) == 0
    assert runs.run("write_row", name).state is JobState.SUCCESS  # the session is usable again


def test_a_soft_time_limit_rolls_back(runs: JobRuns, name: str) -> None:
    record = runs.run("write_row", name, "hang", soft_time_limit=1)

    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "SoftTimeLimitExceeded")
    assert runs.rows(name) == 0


def test_a_hard_time_limit_leaves_nothing_behind(runs: JobRuns, name: str) -> None:
    record = runs.run("write_row", name, "hang", time_limit=1)

    assert record.state is JobState.FAILURE
    assert runs.rows(name) == 0
    assert runs.run("write_row", name).state is JobState.SUCCESS  # no lock is left either


@pytest.mark.parametrize("outcome", ["until cancelled", "swallowing"])
def test_a_cancelled_job_rolls_back(runs: JobRuns, name: str, outcome: str) -> None:
    job = runs.publish("write_row", name, outcome)
    runs.wait_for_state(job.id, JobState.PROGRESS)

    runs.celery.backend.records.cancel(job.id)

    assert runs.ended(job.id).state is JobState.REVOKED
    assert runs.rows(name) == 0


@pytest.fixture(scope="module")
def database_url(postgresql: Engine) -> Iterator[str]:
    """An empty database of the server that others use too."""
    with postgresql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE worker_tests"))
        yield postgresql.url.set(database="worker_tests").render_as_string(hide_password=False)
        connection.execute(text("DROP DATABASE worker_tests WITH (FORCE)"))


@pytest.fixture(scope="module")
def postgresql_runs(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """Its worker has used the database in its parent process before it forked; see ``probe_jobs``."""
    with job_runs(tmp_path_factory.mktemp("pg"), DATABASE_URL=database_url) as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2")
        yield runs


def test_no_connection_crosses_the_fork(postgresql_runs: JobRuns) -> None:
    jobs = [postgresql_runs.publish("backend_process").id for _ in range(8)]

    answers = [postgresql_runs.ended(job).result for job in jobs]

    parent = answers[0]["parent"]
    assert parent["backend"]
    backends = {(answer["pid"], answer["backend"]) for answer in answers}
    assert len({pid for pid, _ in backends}) == 2, "both children had their share"
    assert len(backends) == 2, "each child has one connection of its own"
    assert parent["pid"] not in {pid for pid, _ in backends}
    assert parent["backend"] not in {backend for _, backend in backends}


@pytest.mark.parametrize(("outcome", "rows"), [("success", 1), ("failure", 0), ("failing commit", 0)])
def test_transactions_on_postgresql(postgresql_runs: JobRuns, name: str, outcome: str, rows: int) -> None:
    record = postgresql_runs.run("write_row", name, outcome)

    assert record.state is (JobState.SUCCESS if rows else JobState.FAILURE)
    assert postgresql_runs.rows(name) == rows


def test_a_cancelled_job_rolls_back_on_postgresql(postgresql_runs: JobRuns, name: str) -> None:
    job = postgresql_runs.publish("write_row", name, "until cancelled")
    postgresql_runs.wait_for_state(job.id, JobState.PROGRESS)

    postgresql_runs.celery.backend.records.cancel(job.id)

    wait_until(lambda: postgresql_runs.state(job.id) is JobState.REVOKED, what="the end")
    assert postgresql_runs.rows(name) == 0
