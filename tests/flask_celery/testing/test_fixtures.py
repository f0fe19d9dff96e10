"""The fixtures for who writes jobs, used as such a person uses them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from redis import Redis

from app.commands import keys
from app.extensions import db
from app.jobs.maintenance import tasks
from app.jobs.maintenance.models import Part
from libs.flask_celery import JobState
from libs.flask_celery.testing import (
    Installation,
    MoveClock,
    RedisServer,
    RunJob,
    SubmitJob,
    WaitForJob,
    WorkerProcess,
    wait_until,
)
from libs.flask_celery.testing.fixtures import new_key


@pytest.fixture(scope="module")
def taskgate_settings() -> Mapping[str, str]:
    return {"LOG_LINES": "77"}


def test_the_application_has_tables_and_a_data_directory_of_its_own(
    taskgate_app: Flask, taskgate: Installation
) -> None:
    with taskgate_app.app_context():
        assert db.session.query(Part).count() == 0
        assert current_app.config["TASKGATE"].data_dir == taskgate.folder / "var"
        assert str(taskgate.folder) in str(db.engine.url)
    assert not taskgate_app.testing  # errors are answered as in production


def test_a_module_says_settings_of_its_own(taskgate_app: Flask) -> None:
    assert taskgate_app.config["TASKGATE"].log_lines == 77


def test_its_redis_is_embedded_and_its_own(taskgate_app: Flask, embedded_redis: RedisServer, redis_url: str) -> None:
    assert redis_url != embedded_redis.url  # that of other tests
    assert taskgate_app.config["TASKGATE"].redis_url == embedded_redis.url
    with Redis.from_url(embedded_redis.url) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_keys_are_those_of_the_application_amid_anothers_context(taskgate_app: Flask, app: Flask) -> None:
    with app.app_context():  # left open by a test before, say
        key = new_key(taskgate_app, keys)

    listed = {"Authorization": f"Bearer {key}"}
    assert taskgate_app.test_client().get("/api/1.0/tasks", headers=listed).status_code == 200
    assert app.test_client().get("/api/1.0/tasks", headers=listed).status_code == 401


def test_the_client_has_a_key_that_may_do_everything(taskgate_client: FlaskClient, taskgate: Installation) -> None:
    assert taskgate_client.get("/api/1.0/dead-letters").status_code == 200
    assert taskgate_client.post("/api/1.0/tasks/maintenance.adds/jobs", json={"a": 1, "b": 1}).status_code == 202
    assert taskgate.client.get("/api/1.0/tasks").status_code == 401


def test_what_is_refused_is_told_with_the_reason(submit_job: SubmitJob) -> None:
    with pytest.raises(AssertionError, match=r"maintenance.adds was refused with 422: .*'b'"):
        submit_job("maintenance.adds", a=1)
    with pytest.raises(AssertionError, match=r"maintenance.nothing was refused with 404"):
        submit_job("maintenance.nothing")


def test_a_job_runs_in_a_worker_process(run_job: RunJob, taskgate_worker: WorkerProcess) -> None:
    outcome = run_job("maintenance.adds", a=1, b=2)

    assert (outcome.state, outcome.result, outcome.error) == (JobState.SUCCESS, 3, None)
    assert (outcome.progress, outcome.log, outcome.files) == (None, (), ())
    assert outcome.record.owner == "tester"
    succeeded = f"maintenance.adds[{outcome.task_id}] succeeded"
    wait_until(lambda: succeeded in taskgate_worker.log, what="the line of the worker's log")


def test_progress_files_and_database_are_those_of_the_run(
    run_job: RunJob, taskgate_app: Flask, taskgate_client: FlaskClient
) -> None:
    with taskgate_app.app_context():
        now = datetime.now(UTC)
        for code in ("A-1", "A-2"):
            db.session.add(Part(code=code, name="Hex bolt M8 x 40 zinc", add_time=now, updated_at=now))
        db.session.commit()

    outcome = run_job("maintenance.match_self_table")

    assert outcome.result["pairs"] == 1, outcome.error
    assert outcome.progress is not None
    assert outcome.progress.current == outcome.progress.total
    assert [file.name for file in outcome.files] == ["pairs.csv"]
    with taskgate_client.get(f"/api/1.0/results/{outcome.task_id}/files/pairs.csv") as file:
        assert "A-1,Hex bolt M8 x 40 zinc,A-2," in file.text


def test_a_failed_job_is_an_outcome_too(run_job: RunJob, taskgate_client: FlaskClient) -> None:
    outcome = run_job("batches.collect", batch_id="0b7e4d1c-2a63-4f0a-8f0e-3c1b9d5a7e42")

    assert outcome.state is JobState.FAILURE
    assert outcome.error is not None
    assert outcome.error.type == "UnknownBatchError"
    assert outcome.result is None


def test_a_job_that_clients_are_not_offered_runs_as_code_publishes_it(run_job: RunJob) -> None:
    """On a queue that is not the default one."""
    outcome = run_job("monitoring.collect_metrics", targets=[], host=True)

    assert (outcome.state, outcome.result) == (JobState.SUCCESS, {"probed": 0, "up": 0})
    assert outcome.record.owner == "tester"


def test_waiting_for_a_job_that_has_not_ended_says_so(
    taskgate_app: Flask, submit_job: SubmitJob, wait_for_job: WaitForJob
) -> None:
    adds = taskgate_app.extensions["celery"].tasks["maintenance.adds"]
    task_id = adds.apply_async(kwargs={"a": 1, "b": 2}, countdown=3600).id

    with pytest.raises(AssertionError, match=f"the end of job {task_id} did not come true within 0 s"):
        wait_for_job(task_id, timeout=0)
    assert wait_for_job(submit_job("maintenance.adds", a=1, b=2)).result == 3


def test_the_clock_is_moved_and_goes_on(moved_clock: MoveClock) -> None:
    before, counted = datetime.now(UTC), time.monotonic()

    moved_clock(timedelta(days=2))
    assert timedelta(days=2) <= datetime.now(UTC) - before < timedelta(days=2, minutes=1)
    moved_clock(timedelta(hours=-1))
    assert timedelta(days=1, hours=23) <= datetime.now(UTC) - before < timedelta(days=1, hours=23, minutes=1)

    moved_clock(datetime(2026, 3, 29, 1, tzinfo=UTC))
    first = time.time_ns()
    assert datetime.now(UTC).isoformat().startswith("2026-03-29T01:00:")
    while time.time_ns() == first:  # until it has gone on
        pass
    assert time.monotonic() - counted < 60
    with pytest.raises(ValueError, match="wants an aware time"):
        moved_clock(datetime(2026, 3, 29, 1))


def test_the_clock_is_put_back_after_a_test(embedded_redis: RedisServer) -> None:
    """The one above has moved it; that of Redis never is."""
    with Redis.from_url(embedded_redis.url) as client:
        seconds, _ = client.time()

    assert abs(seconds - time.time()) < 60


def test_a_job_that_is_called_directly_sees_the_moved_clock(taskgate_app: Flask, moved_clock: MoveClock) -> None:
    moved_clock(datetime(2026, 3, 29, 1, tzinfo=UTC))

    with taskgate_app.app_context():
        assert tasks.adds(1, 2) == 3
        answer = taskgate_app.extensions["celery"].tasks["monitoring.aggregate_metrics"](minutes=60)

    assert answer["window"]["until"].startswith("2026-03-29T01:0")


def test_a_worker_that_has_ended_is_told_with_its_log(
    submit_job: SubmitJob, wait_for_job: WaitForJob, taskgate_worker: WorkerProcess, tmp_path: Path
) -> None:
    """The last test here: there is no worker after it."""
    taskgate_worker.stop()

    with pytest.raises(AssertionError, match=r"(?s)the worker ended:\n.*maintenance.adds"):
        wait_for_job(submit_job("maintenance.adds", a=1, b=2))
