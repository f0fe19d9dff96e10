"""Jobs for later wait in Redis and run once, on time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from redis import Redis

from tests.conftest import Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks
from tests.delivery.test_leases import kill_all


@pytest.mark.long
def test_a_delayed_job_runs_once_on_time_over_a_crash_and_beyond_the_visibility_timeout(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    first = counting_worker("--pool", "solo")
    due = time.time() + SHORT_TIMEOUT * 3
    result = celery_app.send_task("test.work", ("a",), eta=datetime.fromtimestamp(due, UTC))
    kill_all(first)
    for _ in range(2):
        counting_worker("--pool", "solo")
    there_since = time.time()

    assert result.get(timeout=30) == "a"

    assert due <= time.time() < max(due, there_since) + 3
    assert marks.starts("a") == 1
    assert broker.zcard("taskgate-delayed") == 0


def test_a_year_ahead_costs_no_worker_anything(
    counting_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    counting_worker("--pool", "solo")
    year = datetime.now(UTC) + timedelta(days=365)

    for number in range(100):
        celery_app.send_task("test.work", (f"j{number}",), eta=year)
    celery_app.send_task("test.work", ("now",)).get(timeout=20)

    assert broker.zcard("taskgate-delayed") == 100
    wait_until(lambda: broker.hlen("unacked") == broker.llen("default") == 0)


def test_a_stock_clients_delayed_message_is_put_aside(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    """A stock client pushes to the queue whatever the ETA is."""
    celery_app.send_task("test.work", ("a",), countdown=3600)
    (held,) = broker.hvals("taskgate-delayed-messages")
    broker.delete("taskgate-delayed", "taskgate-delayed-messages")
    broker.lpush("default", held.split(b"\n", 3)[3])

    counting_worker("--pool", "solo")

    wait_until(lambda: broker.zcard("taskgate-delayed") == 1)
    assert broker.hvals("taskgate-delayed-messages") == [held]
    wait_until(lambda: broker.hlen("unacked") == broker.llen("default") == 0)
    assert marks.starts("a") == 0
