"""What ``/metrics`` tells Prometheus, and whom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from celery import states
from celery.app.task import Context
from flask import Flask, g
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from app.api_keys import Scope
from app.jobs.queues import COMPUTE
from libs.flask_celery import BUCKETS, BatchItem, FlaskCelery, WorkerSign, read_figures, submit, submit_many
from libs.flask_celery.figures import worker_signs
from libs.flask_celery.schedules.schedules import ScheduleKeys
from tests.conftest import RedisServer
from tests.installation import API, assert_problem, bearer

ADDS = "maintenance.adds"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def celery_app(app: Flask) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    return celery_app


@pytest.fixture
def scrape(client: FlaskClient, make_key: Callable[..., str]) -> Callable[[], Samples]:
    headers = bearer(make_key("prometheus", Scope.METRICS))

    def scrape() -> Samples:
        answer = client.get("/metrics", headers=headers)
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
        return samples(answer.text)

    return scrape


def samples(page: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"taskgate_{name}", frozenset(labels.items())))


@pytest.fixture
def end(celery_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, int], None]:
    """``end(task_id, state, took)`` stores it as a worker does whose run took so many ms."""

    def end(task_id: str, state: str, took: int) -> None:
        backend = celery_app.backend
        result = backend.prepare_exception(ValueError("told to fail")) if state == states.FAILURE else 3
        with monkeypatch.context() as patch:
            patch.setattr("libs.flask_celery.state_store.timed", lambda *_: took)
            assert backend.store_state(task_id, result, state)

    return end


def test_jobs_are_counted_when_they_are_accepted_and_when_they_end(
    app: Flask, celery_app: FlaskCelery, scrape: Callable[[], Samples], end: Callable[[str, str, int], None]
) -> None:
    with app.app_context():
        g.principal = "ann"
        first, second, third = (submit(celery_app, ADDS, {"a": 1, "b": n}).task_id for n in range(3))
        submit_many(celery_app, [BatchItem(ADDS, {"a": 1, "b": n}) for n in range(4)])
        celery_app.tasks[ADDS].delay(1, 2)
    end(first, states.SUCCESS, 30)
    end(second, states.FAILURE, 70_000)
    celery_app.backend.store_state(second, 3, states.SUCCESS)  # which is too late, and is not counted
    celery_app.backend.store_state(third, None, states.REVOKED)

    found = scrape()

    assert of(found, "jobs_accepted_total", task=ADDS) == 8
    ended = {
        state: of(found, "jobs_ended_total", task=ADDS, state=state) for state in ("SUCCESS", "FAILURE", "REVOKED")
    }
    assert ended == {"SUCCESS": 1, "FAILURE": 1, "REVOKED": 1}
    assert of(found, "jobs_unfinished") == 5
    assert of(found, "dead_letters") == 1
    assert of(found, "queue_jobs", queue="default") == 8  # messages; what is over is skipped by who takes it
    bucket = {
        le: of(found, "job_run_seconds_bucket", task=ADDS, le=le) for le in ("0.025", "0.05", "60", "300", "+Inf")
    }
    assert bucket == {"0.025": 0, "0.05": 1, "60": 1, "300": 2, "+Inf": 2}
    assert of(found, "job_run_seconds_count", task=ADDS) == 2
    assert of(found, "job_run_seconds_sum", task=ADDS) == 70.03


def test_every_bucket_is_one_of_the_scripts(
    celery_app: FlaskCelery, app: Flask, end: Callable[[str, str, int], None]
) -> None:
    with app.app_context():
        g.principal = "ann"
        ids = [submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id for _ in BUCKETS]
        ids.append(submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id)
    for task_id, took in zip(ids, [*BUCKETS, BUCKETS[-1] + 1], strict=True):
        end(task_id, states.SUCCESS, took)

    times = read_figures(celery_app).counts.runs[ADDS]

    assert times.by_bucket == (1,) * (len(BUCKETS) + 1)


def test_queues_tell_how_many_wait_and_for_how_long(
    app: Flask, celery_app: FlaskCelery, redis_url: str, scrape: Callable[[], Samples]
) -> None:
    with app.app_context():
        g.principal = "ann"
        submit(celery_app, ADDS, {"a": 1, "b": 2})
        submit(celery_app, ADDS, {"a": 1, "b": 2}, countdown=900)
        celery_app.tasks[ADDS].apply_async((1, 2), priority=9)
        celery_app.tasks[ADDS].apply_async((1, 2), queue="elsewhere")
    with Redis.from_url(f"{redis_url}/2") as broker:
        (task_id, score) = broker.zrange("default:taskgate-order", 0, 0, withscores=True)[0]
        broker.zadd("default:taskgate-order", {task_id: score - 60e6})

    found = scrape()

    assert (of(found, "queue_jobs", queue="default"), of(found, "queue_jobs", queue="elsewhere")) == (2, 1)
    # Those that jobs name are told of before anything has ever waited there.
    assert (of(found, "queue_jobs", queue=COMPUTE), of(found, "queue_oldest_seconds", queue=COMPUTE)) == (0, 0)
    assert 60 <= (of(found, "queue_oldest_seconds", queue="default") or 0) < 90
    assert 0 <= (of(found, "queue_oldest_seconds", queue="elsewhere") or 0) < 30
    assert (of(found, "delayed_jobs"), of(found, "leased_jobs"), of(found, "quarantined_jobs")) == (1, 0, 0)
    assert 0 <= (of(found, "oldest_unfinished_job_seconds") or 0) < 30


def test_workers_are_told_by_their_signs_and_those_that_are_gone_are_not(
    celery_app: FlaskCelery, scrape: Callable[[], Samples]
) -> None:
    backend = celery_app.backend
    for name, slots, queues in (
        ("a@one", 2, ("default", COMPUTE)),
        ("b@two", 4, (COMPUTE,)),
        ("c@gone", 8, (COMPUTE,)),
    ):
        sign = WorkerSign(slots=slots, running=1, queues=queues, memory=1_000, cpu=2.5)
        worker = SimpleNamespace(app=celery_app, hostname=name)
        worker_signs.give(worker, json.dumps(asdict(sign)))
    backend.client.zincrby(f"{backend.keys.prefix}{worker_signs.SEEN}", -60, "c@gone")

    found = scrape()

    assert of(found, "workers") == 2
    assert [of(found, f"worker_{name}", worker="a@one") for name in ("slots", "running_jobs")] == [2, 1]
    assert of(found, "worker_resident_memory_bytes", worker="b@two") == 1_000
    assert of(found, "worker_cpu_seconds_total", worker="b@two") == 2.5
    assert of(found, "worker_slots", worker="c@gone") is None
    assert [of(found, "queue_slots", queue=queue) for queue in ("default", COMPUTE)] == [2, 6]


def test_waits_and_the_lead_of_beat_are_told(
    app: Flask, celery_app: FlaskCelery, scrape: Callable[[], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        task_id = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id
    request = Context(id=task_id, task=ADDS, taskgate={"submitted_at": time.time_ns() // 1_000_000 - 40_000})
    backend = celery_app.backend
    assert backend.store_state(task_id, None, states.STARTED, request=request)
    before = scrape()
    backend.client.set(ScheduleKeys(backend.keys.prefix).lock, "a beat")

    found = scrape()

    bucket = {le: of(found, "job_wait_seconds_bucket", task=ADDS, le=le) for le in ("30", "60")}
    assert bucket == {"30": 0, "60": 1}
    assert 40 <= (of(found, "job_wait_seconds_sum", task=ADDS) or 0) < 60
    assert (of(before, "beat_up"), of(found, "beat_up")) == (0, 1)


def test_requests_are_counted_by_route_and_never_by_what_a_client_makes_up(
    client: FlaskClient, scrape: Callable[[], Samples]
) -> None:
    client.get(f"{API}/results/one")
    client.get(f"{API}/results/two")
    client.get("/made/up")
    client.open("/made/up", method="MADEUP")

    found = scrape()

    route = f"{API}/results/<task_id>"
    assert of(found, "http_requests_total", route=route, method="GET", status="401") == 2
    assert of(found, "http_request_seconds_count", route=route) == 2
    assert of(found, "http_requests_total", route="none", method="", status="404") == 2
    assert not [labels for _, labels in found if any("made" in value.lower() for _, value in labels)]
    assert (of(found, "http_held_requests"), of(found, "http_held_requests_limit")) == (0, 4_000)


def test_without_redis_that_is_told_with_what_the_process_knows(
    client: FlaskClient, scrape: Callable[[], Samples], redis_server: RedisServer
) -> None:
    assert of(scrape(), "redis_up") == 1
    redis_server.stop(kill=True)

    found = scrape()

    assert of(found, "redis_up") == 0
    assert of(found, "http_requests_total", route="/metrics", method="GET", status="200") == 1
    assert of(found, "jobs_unfinished") is None


@pytest.mark.parametrize(("scopes", "status"), [({Scope.METRICS}, 200), ({Scope.ADMIN}, 200), ({Scope.READ}, 403)])
def test_a_key_needs_the_scope(
    scopes: set[Scope], status: int, client: FlaskClient, make_key: Callable[..., str]
) -> None:
    answer = client.get("/metrics", headers=bearer(make_key("ann", *scopes)))

    assert answer.status_code == status
    if status == 403:
        assert_problem(answer, 403)
        assert "metrics" in answer.json["detail"]


def test_nobody_is_told_anything_without_a_key(client: FlaskClient) -> None:
    assert_problem(client.get("/metrics"), 401)


def test_a_deployment_tells_of_its_own_queues(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("DEPLOYMENT", "acme")
    app: Flask = request.getfixturevalue("app")
    celery_app: FlaskCelery = app.extensions["celery"]
    with app.app_context():
        g.principal = "ann"
        submit(celery_app, ADDS, {"a": 1, "b": 2})

    figures = read_figures(celery_app)

    assert figures.broker is not None
    assert figures.broker.queues["default"].waiting == 1
    assert (figures.unfinished, figures.counts.accepted) == (1, {ADDS: 1})
