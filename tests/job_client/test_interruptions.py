"""The server goes away while one waits: these stop it, so they want one of their own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from libs.job_client import (
    AsyncJobClient,
    BusyError,
    JobClient,
    JobEvent,
    JobState,
    LogEvent,
    Options,
    ResultTimeoutError,
    RetryPolicy,
    StateEvent,
    UnreachableError,
)
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import ApiServer
from tests.job_client.conftest import make_key

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("TASKGATE_URL" in os.environ, reason="a server that runs is not for stopping"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("interrupted")) as runs:
        start_probe_worker(runs, "--pool", "solo")
        yield runs


@pytest.fixture
def api(runs: JobRuns) -> Iterator[ApiServer]:
    api = runs.installation.start_api()
    yield api
    api.stop()


@pytest.fixture
def key(runs: JobRuns) -> str:
    return make_key(runs.installation, "ann")


def connections(api: ApiServer) -> int:
    """How many clients are connected, each with a request that is held."""
    serving = psutil.Process(api.process.pid).children()
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == api.port
        for process in serving
        for one in process.net_connections("tcp")
    )


def test_events_of_meanwhile_are_told_when_the_server_is_back(runs: JobRuns, api: ApiServer, key: str) -> None:
    events: list[JobEvent] = []
    with JobClient(api.url, key) as client, ThreadPoolExecutor(1) as threads:
        job = client.job(runs.publish("take_steps", 4, by="ann").id)

        following = threads.submit(lambda: events.extend(job.events()))  # one after the other, as they come
        wait_until(lambda: events, what="the present state")
        runs.say_go(job.task_id)
        wait_until(lambda: [line.message for line in client.job(job.task_id).logs()] == ["step 1"])
        api.kill()
        for _ in range(3):
            runs.say_go(job.task_id)
        runs.ended(job.task_id)
        again = runs.installation.start_api(api.port)
        following.result(90)
    again.stop()

    lines = [event.line.message for event in events if isinstance(event, LogEvent)]
    assert lines == ["step 1", "step 2", "step 3", "step 4"]


def test_waiting_and_following_outlive_a_killed_server(runs: JobRuns, api: ApiServer, key: str) -> None:
    with JobClient(api.url, key) as client, ThreadPoolExecutor(3) as threads:
        job = client.job(runs.publish("wished", "wait", by="ann").id)
        runs.notes(job.task_id)

        async def waited() -> object:
            async with AsyncJobClient(api.url, key) as other:
                return await other.job(job.task_id).result(timeout=90)

        waiting = threads.submit(job.result, timeout=90)
        also_waiting = threads.submit(asyncio.run, waited())
        following = threads.submit(lambda: list(job.events()))
        wait_until(lambda: connections(api) == 3, what="three who wait")
        api.kill()
        runs.say_go(job.task_id)
        runs.ended(job.task_id)
        again = runs.installation.start_api(api.port)

        assert waiting.result(90) == also_waiting.result(90)
        events = following.result(90)
        assert [event.id for event in events] == sorted({event.id for event in events}), "no gap, no double"
        assert isinstance(events[-1], StateEvent)
        assert events[-1].state is JobState.SUCCESS
    again.stop()


def test_a_server_that_is_away_is_waited_for_as_long_as_one_says(runs: JobRuns, api: ApiServer, key: str) -> None:
    with JobClient(api.url, key) as client, JobClient(api.url, key, retries=RetryPolicy(patience=0.5)) as hasty:
        job = client.submit("maintenance.adds", Options(delay=3_600), a=1, b=2)
        api.kill()

        began = time.monotonic()
        with pytest.raises(ResultTimeoutError) as over:
            job.result(timeout=2)
        assert 1.9 < time.monotonic() - began < 20
        assert isinstance(over.value.__cause__, UnreachableError)
        with pytest.raises(UnreachableError) as away:
            hasty.job(job.task_id).result(timeout=600)
        assert away.value.tries > 1
        with pytest.raises(UnreachableError):
            hasty.submit("maintenance.adds", a=1, b=2)


def test_a_redis_that_is_away_is_tried_again_and_then_told(runs: JobRuns, api: ApiServer, key: str) -> None:
    redis = runs.installation.redis
    with JobClient(api.url, key) as client, JobClient(api.url, key, retries=RetryPolicy(patience=3)) as hasty:
        client.tasks()  # the key is known from now on
        with ThreadPoolExecutor(1) as threads:
            redis.stop()
            with pytest.raises(BusyError) as busy:
                hasty.submit("maintenance.adds", a=1, b=2)
            assert busy.value.problem.status == 503
            assert busy.value.problem.retry_after == 2
            submitting = threads.submit(client.submit, "maintenance.adds", a=1, b=2)
            time.sleep(0.5)  # long enough for its first try to be refused
            redis.start()
            job = submitting.result(60)
        assert job.result(timeout=60) == 3
