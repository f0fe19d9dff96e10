"""Publishing subscribes to nothing; waiting does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery import chord, group
from celery.backends.base import Backend
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from libs.flask_celery import FlaskCelery
from tests.conftest import RedisServer

ADDS = "maintenance.adds"


def subscriptions(redis_url: str) -> list[bytes]:
    with Redis.from_url(redis_url) as client:
        channels: list[bytes] = client.pubsub_channels("*celery-task-meta*")
    return channels


def one_by_one(adds: Any) -> list[Any]:
    return [adds.delay(1, 2) for _ in range(1_000)]


def as_groups(adds: Any) -> list[Any]:
    return [group(adds.s(1, 2) for _ in range(10)).apply_async() for _ in range(100)]


def as_chords(adds: Any) -> list[Any]:
    return [chord([adds.s(1, 2) for _ in range(10)])(adds.si(1, 2)) for _ in range(100)]


@pytest.mark.parametrize("publish", [one_by_one, as_groups, as_chords])
def test_1000_publishes_leave_no_subscription(
    celery_app: FlaskCelery, redis_url: str, publish: Callable[[Any], list[Any]]
) -> None:
    results = publish(celery_app.tasks[ADDS])

    consumer, pending = celery_app.backend.result_consumer, celery_app.backend._pending_results
    assert subscriptions(redis_url) == []
    assert (consumer.subscribed_to, consumer._pubsub) == (set(), None)
    results.clear()
    gc.collect()
    assert (len(pending.concrete), len(pending.weak), consumer._pending_unsubscribe) == (0, 0, set())


def test_get_subscribes_and_unsubscribes(celery_app: FlaskCelery, redis_url: str) -> None:
    job = celery_app.tasks[ADDS].delay(1, 2)
    seen: list[bytes] = []

    def finish_once_subscribed() -> None:
        seen.extend(subscriptions(redis_url))
        celery_app.backend.store_result(job.id, 3, "SUCCESS")

    assert job.get(timeout=10, on_interval=finish_once_subscribed) == 3
    assert seen[0] == f"celery-task-meta-{job.id}".encode()
    assert celery_app.backend.result_consumer.subscribed_to == set()


def test_one_part_of_a_group_can_be_awaited(celery_app: FlaskCelery) -> None:
    adds = celery_app.tasks[ADDS]
    part = group(adds.s(1, 2), adds.s(3, 4)).apply_async().results[0]
    end = threading.Timer(1.2, celery_app.backend.store_result, [part.id, 3, "SUCCESS"])
    end.start()

    assert part.get(timeout=10) == 3
    end.join()


def test_a_nested_group_can_be_awaited_after_parts_of_it_have_ended(celery_app: FlaskCelery) -> None:
    adds, group_of = celery_app.tasks[ADDS], celery_app.GroupResult
    first, second, third = (adds.delay(1, 2) for _ in range(3))
    awaited = group_of("outer", [first, group_of("inner", [second, third])])
    for part in (first, second):
        celery_app.backend.store_result(part.id, part.id, "SUCCESS")

    assert not awaited.ready()
    last = threading.Timer(1.2, celery_app.backend.store_result, [third.id, third.id, "SUCCESS"])
    last.start()
    assert awaited.get(timeout=10) == [first.id, [second.id, third.id]]
    assert awaited.successful()
    last.join()


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # celery/backends/redis.py, _set
def test_a_group_that_is_restored_by_its_id_can_be_awaited(celery_app: FlaskCelery) -> None:
    adds = celery_app.tasks[ADDS]
    published = group(adds.s(1, 2), adds.s(3, 4)).apply_async()
    published.save()
    for number, part in enumerate(published.results):
        celery_app.backend.store_result(part.id, number, "SUCCESS")

    assert celery_app.GroupResult.restore(published.id).get(timeout=10) == [0, 1]


def test_whoever_has_given_up_on_redis_subscribes_anew(
    celery_app: FlaskCelery, redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = celery_app.tasks[ADDS].delay(1, 2)
    consumer = celery_app.backend.result_consumer
    consumer.consume_from(job.id)
    monkeypatch.setattr(Backend, "retry_policy", {"max_retries": 1, "interval_start": 0, "interval_step": 0})
    redis_server.stop(kill=True)
    try:
        with pytest.raises(RedisConnectionError):
            consumer._reconnect()
    finally:
        redis_server.start()

    consumer.consume_from(job.id)

    assert subscriptions(redis_url) == [f"celery-task-meta-{job.id}".encode()]
    consumer.cancel_for(job.id)
    consumer.stop()
