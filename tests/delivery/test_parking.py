"""What a worker cannot run is kept, and unknown tasks run once a worker knows them."""

import json
from collections.abc import Callable

import pytest
from celery import Celery
from celery.result import AsyncResult
from flask import Flask
from redis import Redis

from libs.flask_celery import release_from_quarantine
from tests.conftest import Worker, wait_until
from tests.delivery.conftest import Marks


def test_an_unknown_task_waits_for_a_worker_that_knows_it(
    app: Flask,
    start_worker: Callable[..., Worker],
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
) -> None:
    older = start_worker("--pool", "solo")  # does not load the counted jobs
    result = celery_app.send_task("test.work", ("a",))
    other = celery_app.send_task("test.nobody_knows")
    wait_until(lambda: broker.llen("taskgate-quarantine-default:test.work") == 1)
    wait_until(lambda: broker.llen("taskgate-quarantine-default:test.nobody_knows") == 1)
    assert result.state == "PENDING"
    wait_until(lambda: broker.hlen("unacked") == broker.llen("default") == 0)
    older.stop()

    counting_worker("--pool", "solo")

    assert result.get(timeout=20) == "a"
    assert marks.starts("a") == 1
    assert other.state == "PENDING"
    assert broker.llen("taskgate-quarantine-default:test.nobody_knows") == 1


def test_released_jobs_keep_their_priority(
    start_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    worker = start_worker("--pool", "solo")
    jobs = {priority: celery_app.send_task("test.nobody_knows", priority=priority).id for priority in (9, 4, None, 2)}
    wait_until(lambda: broker.llen("taskgate-quarantine-default:test.nobody_knows") == 4)
    worker.stop()

    assert release_from_quarantine(celery_app) == 4

    lists = {"default": (2, None), "default\x06\x163": (4,), "default\x06\x166": (), "default\x06\x169": (9,)}
    for name, priorities in lists.items():
        ids = {json.loads(message)["headers"]["id"] for message in broker.lrange(name, 0, -1)}
        assert ids == {jobs[priority] for priority in priorities}, name
        assert {member.decode() for member in broker.zrange(f"{name}:taskgate-order", 0, -1)} == ids


def test_a_message_that_cannot_be_decoded_fails_its_job(
    counting_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    job = celery_app.send_task("test.work", ("a",))
    message = json.loads(broker.rpop("default"))
    message["content-type"] = "application/x-python-serialize"
    broker.lpush("default", json.dumps(message))

    counting_worker("--pool", "solo")

    wait_until(lambda: AsyncResult(job.id, app=celery_app).state == "FAILURE")
    letter = json.loads(broker.lindex("taskgate-dead-letters", 0))
    assert json.loads(letter["message"])["headers"]["id"] == job.id
    wait_until(lambda: broker.hlen("unacked") == 0)


@pytest.mark.parametrize(
    "headers", [{"task": "test.work"}, {"task": "test.work", "id": None}, {"task": ["test.work"]}]
)
def test_a_message_with_headers_of_no_task_is_parked_and_the_worker_goes_on(
    headers: dict[str, object], counting_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    celery_app.send_task("test.work", ("a",))
    message = json.loads(broker.rpop("default"))
    broker.lpush("default", json.dumps({**message, "headers": headers}))
    behind = celery_app.send_task("test.work", ("behind",))

    counting_worker("--pool", "solo")

    assert behind.get(timeout=20) == "behind"
    letter = json.loads(broker.lindex("taskgate-dead-letters", 0))
    assert json.loads(letter["message"])["headers"] == headers
    wait_until(lambda: broker.hlen("unacked") == 0)
