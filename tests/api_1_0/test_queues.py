"""``GET queues`` and ``GET workers``: what they tell of where jobs wait and of who runs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from celery import states
from flask import Flask
from flask.testing import FlaskClient

from app.api_keys import Scope
from app.jobs.queues import COMPUTE
from libs.flask_celery import per_minute
from libs.flask_celery.figures.throughput import KEPT, SAMPLES, Sample, take_sample
from libs.flask_celery.figures.worker_signs import GONE_AFTER, SEEN, SIGNS
from tests.conftest import RedisServer, Worker, wait_until
from tests.installation import API, assert_problem, bearer

ADDS = f"{API}/tasks/maintenance.adds/jobs"


@pytest.fixture
def operator(make_key: Callable[..., str]) -> dict[str, str]:
    return bearer(make_key("prometheus", Scope.METRICS))


def test_what_waits_is_counted_by_queue(
    app: Flask, client: FlaskClient, auth: dict[str, str], operator: dict[str, str]
) -> None:
    ids = [client.post(ADDS, json={"a": n, "b": 1}, headers=auth).json["task_id"] for n in range(3)]
    client.post(f"{ADDS}?delay=3600", json={"a": 9, "b": 1}, headers=auth)
    app.extensions["celery"].backend.store_state(ids[0], 1, states.SUCCESS)

    told = client.get(f"{API}/queues", headers=operator).json

    queues = {queue["name"]: queue for queue in told["queues"]}
    assert queues["default"]["waiting"] == 3
    assert queues["default"]["oldest"] >= 0
    assert (queues[COMPUTE]["waiting"], queues[COMPUTE]["oldest"]) == (0, None)
    assert (told["accepted"], told["unfinished"], told["delayed"], told["held"]) == (4, 3, 1, 0)
    assert told["ended"] == {"SUCCESS": 1, "FAILURE": 0, "REVOKED": 0}
    assert told["oldest_unfinished"] >= 0


def test_how_fast_it_goes_is_told_by_samples_that_workers_take(
    app: Flask, client: FlaskClient, auth: dict[str, str], operator: dict[str, str]
) -> None:
    backend = app.extensions["celery"].backend
    assert client.get(f"{API}/queues", headers=operator).json["per_minute"] is None
    ids = [client.post(ADDS, json={"a": n, "b": 1}, headers=auth).json["task_id"] for n in range(5)]
    backend.store_state(ids[0], 1, states.SUCCESS)
    take_sample(backend)
    take_sample(backend)  # of the same interval: it is none
    backend.store_state(ids[1], 1, states.SUCCESS)
    backend.store_state(ids[2], 1, states.FAILURE)
    now, accepted, ended = backend.client.lindex(SAMPLES, 0).decode().split()
    backend.client.lset(SAMPLES, 0, f"{float(now) - 30:.3f} {accepted} {ended}")  # as if that was half a minute ago

    told = client.get(f"{API}/queues", headers=operator).json

    (sample,) = told["history"]
    assert (sample["accepted"], sample["ended"]) == (5, 1)
    took = (datetime.fromisoformat(told["at"]) - datetime.fromisoformat(sample["at"])).total_seconds()
    assert 30 <= took < 60
    assert told["per_minute"]["accepted"] == 0
    assert told["per_minute"]["ended"] == pytest.approx(2 / took * 60, rel=0.05)
    for _ in range(KEPT + 3):
        backend.client.lpush(SAMPLES, "1 0 0")
    take_sample(backend)
    assert len(client.get(f"{API}/queues", headers=operator).json["history"]) == KEPT


def test_a_sample_has_every_job_that_ended_those_of_runs_too(
    app: Flask, client: FlaskClient, auth: dict[str, str], operator: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = app.extensions["celery"].backend
    ids = [client.post(ADDS, json={"a": n, "b": 1}, headers=auth).json["task_id"] for n in range(3)]
    backend.store_state(ids[0], 1, states.SUCCESS)
    monkeypatch.setattr("libs.flask_celery.state_store.timed", lambda *_: 5)
    backend.store_state(ids[1], 1, states.SUCCESS)
    backend.store_state(ids[2], 1, states.FAILURE)

    take_sample(backend)

    told = client.get(f"{API}/queues", headers=operator).json
    assert [sample["ended"] for sample in told["history"]] == [3]
    assert sum(told["ended"].values()) == 3


def test_a_rate_is_of_the_last_minute_and_of_less_only_while_there_is_less() -> None:
    samples = [Sample(float(at), at, at // 2) for at in range(0, 3600, 30)]

    assert per_minute(samples, Sample(3600.0, 3600 + 60, 1800)) == pytest.approx((120, 30))
    assert per_minute(samples[-1:], Sample(3600.0, 3600, 1800)) == pytest.approx((60, 30))
    assert per_minute([], Sample(3600.0, 1, 1)) is None
    assert per_minute([Sample(3600.0, 1, 1)], Sample(3600.2, 2, 1)) is None


def test_the_workers_that_are_up_say_what_they_do(
    client: FlaskClient, operator: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    assert client.get(f"{API}/workers", headers=operator).json == {"workers": []}
    worker = start_worker("--pool", "threads", "--concurrency", "3", "-Q", f"default,{COMPUTE}")

    def told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get(f"{API}/workers", headers=operator).json["workers"]
        return found

    wait_until(lambda: told() != [], timeout=30, what="a sign of the worker")
    (sign,) = told()
    assert (sign["name"], sign["pool"], sign["concurrency"]) == (worker.name, "threads", 3)
    assert (sign["queues"], sign["taken"], sign["running"]) == (["default", COMPUTE], 0, 0)
    assert 0 <= sign["last_sign"] < GONE_AFTER
    assert 0 <= sign["uptime"] < 120

    worker.stop()

    assert told() == []


def test_workers_are_not_asked_over_the_broker_unless_that_is_wanted(
    app: Flask, client: FlaskClient, operator: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    """A worker of ours that gives no signs is what a stock one is: it answers, and is told by its answer."""
    worker = start_worker("--pool", "threads", "--concurrency", "3", "-Q", f"default,{COMPUTE}")
    backend = app.extensions["celery"].backend
    signs = [f"{backend.keys.prefix}{name}" for name in (SIGNS, SEEN)]
    wait_until(lambda: backend.client.exists(*signs) == 2, timeout=30, what="its first sign; there is none for 10 s")
    backend.client.delete(*signs)

    assert client.get(f"{API}/workers", headers=operator).json == {"workers": []}
    (told,) = client.get(f"{API}/workers?ask=true", headers=operator).json["workers"]

    assert (told["name"], told["pool"], told["concurrency"]) == (worker.name, "threads", 3)
    assert (told["queues"], told["taken"]) == (["default", COMPUTE], 0)
    assert (told["running"], told["last_sign"]) == (None, None)


def test_without_redis_it_is_a_503(client: FlaskClient, operator: dict[str, str], redis_server: RedisServer) -> None:
    client.get(f"{API}/queues", headers=operator)
    redis_server.stop(kill=True)

    assert_problem(client.get(f"{API}/queues", headers=operator), 503)
    assert_problem(client.get(f"{API}/workers", headers=operator), 503)
