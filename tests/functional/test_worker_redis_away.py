"""Workers outlive their Redis, and so do the jobs they run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture(scope="module")
def own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    # Celery's shorter retries of 20 s would hide whether the worker has those that outlast a restart.
    no_short_retries = {"CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": '{"retry_policy": {"max_retries": 0}}'}
    with job_runs(tmp_path_factory.mktemp("away"), **no_short_retries) as runs:
        start_probe_worker(runs, "--pool", "threads", "--concurrency", "2")
        yield runs


def test_an_idle_worker_reconnects_by_itself(own_runs: JobRuns) -> None:
    assert own_runs.run("answer", 1).result == 1

    for answer in range(2):
        own_runs.installation.redis.stop()
        own_runs.installation.redis.start()
        assert own_runs.run("answer", answer).result == answer


def test_a_job_that_ends_or_tells_its_progress_while_redis_is_away_is_no_failure(
    own_runs: JobRuns, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("signals")
    counting = own_runs.publish("outlive_redis", str(folder), by="ann")
    own_runs.wait_for_state(counting.id, JobState.PROGRESS)

    own_runs.installation.redis.stop()
    (folder / "redis is away").touch()
    wait_until((folder / "still counting").exists, what="progress without Redis")
    own_runs.installation.redis.start()

    record = own_runs.ended(counting.id, timeout=60)
    assert (record.state, record.result, record.owner) == (JobState.SUCCESS, "counted", "ann")
    assert record.progress is not None
    assert record.progress.message == "without Redis"
