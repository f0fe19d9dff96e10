"""Redis stopped, and Redis frozen: calls answer 503 in under a second and work again by themselves."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.problem import RETRY_AFTER
from tests.conftest import RedisServer, wait_until
from tests.installation import API, Installation, an_installation

#: Seconds: what a client waits at most for the 503.
LIMIT = 1.0
CALLS = 10
#: Clients at once: more than kombu keeps connections to a broker (``broker_pool_limit``).
CROWD = 24


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # With the limits that the product has by default, which are counted in the Redis that is away.
    limits = {"RATE_LIMIT_KEY": "6000/minute", "RATE_LIMIT_SUBMIT": "3000/minute", "RATE_LIMIT_ADDRESS": "300/minute"}
    with an_installation(tmp_path_factory.mktemp("redis-away"), **limits) as installation:
        yield installation


@pytest.fixture(scope="module")
def api(installation: Installation) -> Iterator[httpx.Client]:
    server = installation.start_api()
    with httpx.Client(base_url=server.url, headers=installation.headers(), timeout=20) as client:
        yield client


def stop(redis: RedisServer) -> None:
    redis.stop()


def freeze(redis: RedisServer) -> None:
    assert redis.process is not None
    os.kill(redis.process.pid, signal.SIGSTOP)


def bring_back(redis: RedisServer) -> None:
    if redis.process is None:
        redis.start()
    else:
        os.kill(redis.process.pid, signal.SIGCONT)


def submit(api: httpx.Client) -> httpx.Response:
    return api.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2})


def timed(call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    started = time.perf_counter()
    response = call()
    return time.perf_counter() - started, response


@pytest.mark.parametrize("take_away", [stop, freeze])
def test_calls_answer_503_in_under_a_second_and_work_again_when_redis_is_back(
    take_away: Callable[[RedisServer], None], installation: Installation, api: httpx.Client
) -> None:
    address = submit(api).headers["Location"]
    calls = {
        "POST jobs": lambda: submit(api),
        "GET results": lambda: api.get(address),
        "GET jobs": lambda: api.get(f"{API}/jobs"),
        "DELETE jobs": lambda: api.delete(address.replace("/results/", "/jobs/")),
    }
    assert api.get(address).status_code == 200

    take_away(installation.redis)
    try:
        measured = {name: [timed(call) for _ in range(CALLS)] for name, call in calls.items()}
        ready, alive = timed(lambda: api.get("/readyz")), timed(lambda: api.get("/healthz"))
    finally:
        bring_back(installation.redis)

    for name, answers in measured.items():
        times = [seconds for seconds, _ in answers]
        print(
            f"\nRedis {take_away.__name__}: {name} fastest {min(times):.3f} s, "
            f"median {statistics.median(times):.3f} s, slowest {max(times):.3f} s"
        )
        for _, response in answers:
            assert response.status_code == 503, (name, response.text)
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.headers["Retry-After"] == str(RETRY_AFTER)
            assert "Try again" in response.json()["detail"]
        assert max(times) < LIMIT, (name, times)
    assert ready[1].status_code == 503
    assert ready[1].json()["checks"] == {"redis": False, "database": True}
    assert ready[0] < LIMIT
    assert alive[1].status_code == 200

    # Without a restart of the API, and with what was submitted before.
    wait_until(lambda: api.get("/readyz").status_code == 200, timeout=10, what="readiness")
    assert api.get(address).status_code == 200
    assert submit(api).status_code == 202


@pytest.mark.parametrize("take_away", [stop, freeze])
def test_a_crowd_is_answered_as_soon_as_one_client(
    take_away: Callable[[RedisServer], None], installation: Installation, api: httpx.Client
) -> None:
    address = submit(api).headers["Location"]
    with ThreadPoolExecutor(CROWD) as clients:
        for _ in range(2):  # each has its connection to the server, and each thread of it has seen Redis
            assert all(clients.map(lambda _: submit(api).status_code == 202, range(CROWD)))

        take_away(installation.redis)
        try:
            submitted = list(clients.map(lambda _: timed(lambda: submit(api)), range(CROWD)))
            polled = list(clients.map(lambda _: timed(lambda: api.get(address)), range(CROWD)))
        finally:
            bring_back(installation.redis)

    for name, answers in (("POST jobs", submitted), ("GET results", polled)):
        times = [seconds for seconds, _ in answers]
        print(
            f"\nRedis {take_away.__name__}, {CROWD} at once: {name} fastest {min(times):.3f} s, "
            f"median {statistics.median(times):.3f} s, slowest {max(times):.3f} s"
        )
        assert {response.status_code for _, response in answers} == {503}
        assert max(times) < LIMIT, (name, times)
    wait_until(lambda: api.get("/readyz").status_code == 200, timeout=10, what="readiness")


def test_an_api_that_starts_before_redis_does_waits_for_nothing(
    installation: Installation,
) -> None:
    headers = installation.headers("early")
    installation.redis.stop()
    try:
        server = installation.start_api()
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as api:
            away, answer = timed(lambda: submit(api))
            assert (answer.status_code, api.get("/readyz").status_code) == (503, 503)
            assert away < LIMIT
            installation.redis.start()
            assert submit(api).status_code == 202
    finally:
        if installation.redis.process is None:
            installation.redis.start()
