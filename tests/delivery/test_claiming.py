"""A message is always in its queue or leased, and one that nobody can read stops nobody."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from redis import Redis

from tests.conftest import RedisServer, Worker, wait_until
from tests.delivery.conftest import Marks
from tests.delivery.test_leases import kill_all

POOLS = ["prefork", "threads", "solo", "gevent"]


GARBAGE = [
    b"not json",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b'{"body": 1}',
    b'{"body": "", "headers": {}, "properties": {}}',
]


@pytest.mark.parametrize(
    ("pool", "garbage"), [*((pool, GARBAGE[0]) for pool in POOLS), *(("solo", garbage) for garbage in GARBAGE[1:])]
)
def test_a_malformed_message_is_parked_and_the_worker_goes_on(
    pool: str,
    garbage: bytes,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    broker: "Redis[bytes]",
) -> None:
    counting_worker("--pool", pool, "--concurrency", "1")

    broker.lpush("default", garbage)
    result = celery_app.send_task("test.work", ("a",))

    assert result.get(timeout=20) == "a"
    wait_until(lambda: broker.llen("taskgate-dead-letters") == 1)
    letter = json.loads(broker.lindex("taskgate-dead-letters", 0))
    assert letter["queue"] == "default"
    assert letter["reason"]
    wait_until(lambda: broker.hlen("unacked") == 0)


@pytest.mark.long
def test_no_message_is_lost_when_workers_are_killed_at_any_moment(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    results = []

    def submit() -> None:
        results.extend(celery_app.send_task("test.work", (f"j{number}", 0.005)) for number in range(300))

    with ThreadPoolExecutor(1) as executor:
        submitting = executor.submit(submit)
        for enough in (0, 20, 40, 60):
            worker = counting_worker("--pool", "threads", "--concurrency", "2", "--prefetch-multiplier", "4")
            wait_until(lambda: sum(marks.starts(f"j{n}") > 0 for n in range(300)) > enough)  # noqa: B023
            kill_all(worker)
        submitting.result(60)
    counting_worker("--pool", "threads", "--concurrency", "4")

    wait_until(lambda: all(result.successful() for result in results), timeout=60, what="every job")
    assert [label for label in (f"j{n}" for n in range(300)) if marks.ends(label) == 0] == []


@pytest.mark.parametrize("pool", POOLS)
def test_a_busy_worker_survives_a_restart_of_redis(
    pool: str,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    redis_server: RedisServer,
    broker: "Redis[bytes]",
) -> None:
    worker = counting_worker("--pool", pool, "--concurrency", "1")
    running = celery_app.send_task("test.work", ("running", 6.0))
    behind = celery_app.send_task("test.work", ("behind",))
    wait_until(lambda: marks.starts("running") == 1)

    redis_server.stop(kill=True)
    redis_server.start()

    wait_until(running.successful, timeout=40)
    wait_until(behind.successful, timeout=40)
    assert worker.process.poll() is None
    assert marks.starts("running") == marks.ends("running") == 1
    wait_until(lambda: broker.hlen("unacked") == 0)


def test_kill_between_claim_and_start_loses_nothing(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks
) -> None:
    """Stopped in the middle of taking messages, then killed: what kombu's BRPOP loses."""
    for round_number in range(3):
        worker = counting_worker("--pool", "solo")
        os.kill(worker.process.pid, signal.SIGSTOP)
        celery_app.send_task("test.work", (f"r{round_number}",))
        os.kill(worker.process.pid, signal.SIGCONT)
        kill_all(worker)
    counting_worker("--pool", "solo")

    wait_until(lambda: all(marks.ends(f"r{n}") for n in range(3)), timeout=30)


@pytest.mark.long
def test_an_idle_worker_that_is_told_to_leave_its_only_queue_lives_and_can_come_back(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks
) -> None:
    worker = counting_worker("--pool", "solo")
    (answer,) = celery_app.control.cancel_consumer("default", reply=True, timeout=5)
    assert "ok" in answer[worker.name]
    result = celery_app.send_task("test.work", ("a",))
    (answer,) = celery_app.control.inspect(timeout=5).ping().items()  # a round of the loop without a queue
    assert answer == (worker.name, {"ok": "pong"})
    assert marks.starts("a") == 0

    celery_app.control.add_consumer("default", reply=True, timeout=5)

    assert result.get(timeout=20) == "a"
    assert worker.process.poll() is None
