"""A rate limit of all workers together, in each kind of pool, over an absence of Redis, and at a high rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker

POOLS = ["prefork", "threads", "solo", "gevent"]


@pytest.fixture(scope="module")
def installation_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("limits")) as runs:
        yield runs


@pytest.fixture
def pool_runs(installation_runs: JobRuns, request: pytest.FixtureRequest) -> Iterator[JobRuns]:
    """With one worker of the pool."""
    worker = start_probe_worker(installation_runs, "--pool", request.param, "--concurrency", "2")
    yield installation_runs
    worker.stop()


@pytest.fixture(scope="module")
def thread_runs(installation_runs: JobRuns) -> JobRuns:
    """With a worker for all tests that follow the first use."""
    start_probe_worker(installation_runs, "--pool", "threads", "--concurrency", "2")
    return installation_runs


def starts(runs: JobRuns, label: str, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: runs.noted(label) >= count, timeout=60, what=f"{count} starts of {label}")
    return sorted(runs.notes(label, count), key=lambda note: note["at"])


@pytest.mark.parametrize("pool_runs", POOLS, indirect=True)
def test_a_limit_holds_and_others_go_on_in_every_pool(pool_runs: JobRuns) -> None:
    waiting, other = uuid4().hex, uuid4().hex
    jobs = [pool_runs.publish("together", waiting).id for _ in range(20)]
    pool_runs.publish("unlimited", other)

    starts(pool_runs, other, 1)
    assert pool_runs.noted(waiting) < 19
    found = starts(pool_runs, waiting, 20)

    times = [start["at"] for start in found]
    assert max(sum(first <= time < first + 1 for time in times) for first in times) <= 12
    assert times[-1] - times[0] > 1.7
    assert [pool_runs.ended(job).state for job in jobs] == [JobState.SUCCESS] * 20
    assert pool_runs.noted(waiting) == 20
    assert {start["retries"] for start in found} == {0}


def test_jobs_that_wait_outlive_a_restart_of_redis(thread_runs: JobRuns) -> None:
    label = uuid4().hex
    jobs = [thread_runs.publish("together", label).id for _ in range(25)]
    starts(thread_runs, label, 3)

    thread_runs.installation.redis.stop(kill=True)
    thread_runs.installation.redis.start()

    assert {thread_runs.ended(job, timeout=60).state for job in jobs} == {JobState.SUCCESS}


def test_a_high_rate_is_kept_up(thread_runs: JobRuns) -> None:
    label = uuid4().hex
    for _ in range(200):
        thread_runs.publish("often", label)

    times = [start["at"] for start in starts(thread_runs, label, 200)]

    print(f"\n{199 / (times[-1] - times[0]):.0f}/s of 200/s")
    assert times[-1] - times[0] > 0.85  # a tenth of a second's may begin at once
    assert times[-1] - times[0] < 20


def test_an_operator_may_set_another_rate_and_none(thread_runs: JobRuns) -> None:
    """With Celery's own commands and settings."""
    label = uuid4().hex
    for _ in range(2):
        thread_runs.publish("seldom", label)
    starts(thread_runs, label, 1)
    assert thread_runs.noted(label) == 1

    thread_runs.celery.control.rate_limit("probe.seldom", "100/s", reply=True)
    thread_runs.publish("seldom", label)

    starts(thread_runs, label, 3)
