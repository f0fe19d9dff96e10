"""How long each task has been taking, as successes tell."""

from __future__ import annotations

import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
from celery.app.task import Context
from redis.exceptions import ConnectionError as RedisConnectionError

from libs.flask_celery import FlaskCelery
from libs.flask_celery.run_times import FRESH, RunTimes


def run(celery_app: FlaskCelery, task: str, seconds: float, state: str = "SUCCESS") -> None:
    """Store the end of a run that has taken so long."""
    started_at = time.time_ns() // 1_000_000 - round(seconds * 1000)
    task_id = str(uuid4())
    request = Context(id=task_id, task=task)
    request.active_job = SimpleNamespace(record_fields=lambda: {"started_at": started_at})
    result = 3 if state == "SUCCESS" else {"exc_type": "ValueError", "exc_message": [], "exc_module": "builtins"}
    assert celery_app.backend.store_state(task_id, result, state, request=request)


def test_the_mean_follows_the_runs_of_the_task(celery_app: FlaskCelery) -> None:
    run(celery_app, "a", 10)
    run(celery_app, "b", 1)
    assert RunTimes(celery_app.backend).mean("a") == pytest.approx(10, abs=0.5)

    run(celery_app, "a", 20)
    assert RunTimes(celery_app.backend).mean("a") == pytest.approx(12, abs=0.5)
    for _ in range(20):
        run(celery_app, "a", 20)
    assert RunTimes(celery_app.backend).mean("a") == pytest.approx(20, abs=0.5)
    assert RunTimes(celery_app.backend).mean("b") == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("state", ["FAILURE", "REVOKED", "RETRY", "STARTED"])
def test_only_a_success_says_how_long_a_task_takes(celery_app: FlaskCelery, state: str) -> None:
    run(celery_app, "a", 10, state)
    assert RunTimes(celery_app.backend).mean("a") is None


def test_what_a_job_that_was_final_already_says_does_not_count(celery_app: FlaskCelery) -> None:
    task_id = str(uuid4())
    celery_app.backend.store_result(task_id, 3, "SUCCESS")
    request = Context(id=task_id, task="a")
    request.active_job = SimpleNamespace(record_fields=lambda: {"started_at": 1})

    assert not celery_app.backend.store_state(task_id, 3, "SUCCESS", request=request)
    assert RunTimes(celery_app.backend).mean("a") is None


def test_redis_is_asked_once_in_a_while(celery_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch) -> None:
    times = RunTimes(celery_app.backend)
    assert times.mean("a") is None
    run(celery_app, "a", 10)
    assert times.mean("a") is None
    monkeypatch.setattr(times, "_stale_at", time.monotonic())
    assert times.mean("a") == pytest.approx(10, abs=0.5)
    assert time.monotonic() + FRESH - 1 < times._stale_at


def test_without_redis_what_is_known_serves(celery_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch) -> None:
    run(celery_app, "a", 10)
    times = RunTimes(celery_app.backend)
    known = times.mean("a")

    def fail(_: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(celery_app.backend.client, "hgetall", fail)
    monkeypatch.setattr(times, "_stale_at", 0.0)
    assert times.mean("a") == known
