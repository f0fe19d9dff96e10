"""``celery worker -P`` prefork, threads, solo, gevent and eventlet: the same jobs in each, and the same end of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from libs.flask_celery import JobState
from tests.conftest import ROOT, Worker, wait_until
from tests.functional.job_runs import JobRuns, is_sqlite, job_runs, start_probe_worker

POOLS = ["prefork", "threads", "solo", "gevent", "eventlet"]

#: Those that can end a job which has run for too long. A greenlet of eventlet's could be ended, but Celery does not.
WITH_TIME_LIMITS = {"prefork", "gevent"}

HOOKS = {
    "success": ["before_start", "run", "on_success", "after_return"],
    "failure": ["before_start", "run", "on_failure", "after_return"],
    "retry": ["before_start", "run", "on_retry", "before_start", "run", "on_success", "after_return"],
}

#: Seconds that a stopped worker's jobs have.
SOFT = 2.0

EVENTLET_ADVICE = "The pool eventlet is on its way out of Celery. Take --pool gevent, which does the same."


@dataclass
class PoolRuns:
    pool: str
    jobs: JobRuns
    worker: Worker


@pytest.fixture(scope="module", params=POOLS)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolRuns]:
    folder = tmp_path_factory.mktemp(request.param)
    with job_runs(folder, CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT=str(SOFT)) as jobs:
        yield PoolRuns(request.param, jobs, start_probe_worker(jobs, "-P", request.param, "--concurrency", "3"))


@pytest.mark.parametrize(
    ("outcome", "state", "retries"),
    [("success", JobState.SUCCESS, 0), ("failure", JobState.FAILURE, 0), ("retry", JobState.SUCCESS, 1)],
)
def test_success_failure_and_retry_in_context(runs: PoolRuns, outcome: str, state: JobState, retries: int) -> None:
    job = runs.jobs.publish("tell", kwargs={"outcome": outcome}, by="ann")

    record = runs.jobs.ended(job.id)
    assert (record.state, record.retries, record.owner) == (state, retries, "ann")
    assert (record.failure and record.failure.message) == ("told to fail" if outcome == "failure" else None)
    notes = runs.jobs.notes(job.id, len(HOOKS[outcome]))
    # A retry may begin, beside it, before the first run has told its end.
    assert sorted(note["hook"] for note in notes) == sorted(HOOKS[outcome])
    assert len({note["context"] for note in notes}) == 1 + retries
    assert {(note["app"], note["database"], note["principal"]) for note in notes} == {("taskgate", 1, "ann")}


def test_database_work_is_committed_with_the_job_or_not_at_all(runs: PoolRuns) -> None:
    assert runs.jobs.run("write_row", "kept").state is JobState.SUCCESS
    assert runs.jobs.run("write_row", "dropped", "failure").state is JobState.FAILURE

    assert (runs.jobs.rows("kept"), runs.jobs.rows("dropped")) == (1, 0)


def test_progress_is_seen_and_a_running_job_can_be_cancelled(runs: PoolRuns) -> None:
    job = runs.jobs.publish("write_row", "cancelled", "until cancelled")
    runs.jobs.wait_for_state(job.id, JobState.PROGRESS)
    progress = runs.jobs.record(job.id).progress
    assert progress is not None
    assert (progress.total, progress.message) == (3_000, "working")

    runs.jobs.celery.backend.records.cancel(job.id)

    assert runs.jobs.ended(job.id, timeout=10).state is JobState.REVOKED
    assert runs.jobs.rows("cancelled") == 0


def test_a_hard_time_limit_where_the_pool_has_one(runs: PoolRuns) -> None:
    """Of a job that waits: one that computes is not stopped under gevent, nor is one whose progress is kept back."""
    job = runs.jobs.publish("wait", time_limit=0.5)
    if runs.pool not in WITH_TIME_LIMITS:
        runs.jobs.notes(job.id)
        time.sleep(1)  # for longer than its limit
        runs.jobs.say_go(job.id)
    record = runs.jobs.ended(job.id)

    if runs.pool in WITH_TIME_LIMITS:
        assert record.failure is not None
        assert (record.state, record.failure.type) == (JobState.FAILURE, "TimeLimitExceeded")
    else:
        assert record.state is JobState.SUCCESS


def test_eventlet_alone_is_advised_against_once(runs: PoolRuns) -> None:
    assert runs.worker.log.count(EVENTLET_ADVICE) == (1 if runs.pool == "eventlet" else 0)


def test_a_stopped_worker_lets_a_short_job_end_and_gives_a_long_one_back(runs: PoolRuns) -> None:
    """The last of a pool's tests: it ends their worker."""
    long = runs.jobs.publish("wait")
    runs.jobs.notes(long.id)
    short = None if runs.pool == "solo" else runs.jobs.publish("wait")
    if short is not None:  # beside the other: a pool that ran one at a time would not start it
        runs.jobs.notes(short.id)

    runs.worker.process.terminate()

    wait_until(lambda: f"its jobs have {SOFT:g} s to end" in runs.worker.log, timeout=10, what="the signal")
    if short is not None:
        runs.jobs.say_go(short.id)
    assert runs.worker.process.wait(SOFT + 10) == 0
    assert short is None or runs.jobs.state(short.id) is JobState.SUCCESS
    assert runs.jobs.state(long.id) is JobState.PENDING
    assert runs.jobs.is_queued(long.id)


@pytest.fixture
def database(postgresql: Engine) -> Iterator[str]:
    """The URL of an empty one."""
    name = f"pools_{uuid4().hex}"
    with postgresql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield postgresql.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def locks_waited_for(server: Engine) -> int:
    with server.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_a_greenlet_of_eventlet_that_waits_for_postgresql_holds_up_no_other(
    database: str, postgresql: Engine, tmp_path: Path
) -> None:
    """The second job waits for the first one's lock; were all to wait with it, the first could never be cancelled."""
    with job_runs(tmp_path, DATABASE_URL=database) as runs:
        assert not is_sqlite(runs)
        start_probe_worker(runs, "-P", "eventlet", "--concurrency", "2")
        first = runs.publish("write_row", "the same", "until cancelled")
        runs.wait_for_state(first.id, JobState.PROGRESS)
        second = runs.publish("write_row", "the same")
        wait_until(lambda: locks_waited_for(postgresql) == 1, what="the second job's wait")

        runs.celery.backend.records.cancel(first.id)

        assert runs.ended(first.id).state is JobState.REVOKED
        assert runs.ended(second.id).state is JobState.SUCCESS
        assert runs.rows("the same") == 1


def refused(environment: dict[str, str], pool: str) -> str:
    """The one line that a worker says which takes its pool from the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app", "worker"],
        env={**environment, "CELERY_WORKER_POOL": pool},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    return line


def test_a_pool_of_greenlets_has_to_be_named_on_the_command_line(environment: dict[str, str]) -> None:
    """Where Celery looks for it before anything else is imported."""
    said = "taskgate: CELERY_WORKER_POOL=gevent is read too late: start the worker with --pool gevent."
    assert refused(environment, "gevent") == said


def test_eventlet_that_is_not_installed_is_said_with_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['eventlet'] = None\n")
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"

    line = refused(environment, "eventlet")

    assert line.startswith("taskgate: the pool eventlet is not installed: pip install -r requirements-eventlet.txt")
