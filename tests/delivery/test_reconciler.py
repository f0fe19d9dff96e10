"""What was accepted and is in no place is put back in its queue, once; what is in a place is left alone."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.delivery_scripts import CLAIM
from libs.flask_celery.reconcile import Reconciliation
from tests.conftest import Worker, wait_until
from tests.delivery.conftest import Marks


@pytest.fixture
def channel(celery_app: Celery) -> ClaimingChannelMixin:
    """The channel that publishes, as if it consumed the default queue."""
    channel: ClaimingChannelMixin = celery_app.producer_pool.acquire().channel
    channel._active_queues = ["default"]
    return channel


@pytest.fixture
def reconciliation(celery_app: Celery) -> Reconciliation:
    return Reconciliation(celery_app, grace=0.0)


def loses_its_message(broker: "Redis[bytes]", *task_ids: str) -> None:
    """As a BRPOP does whose client dies before it has noted what it took."""
    for message in broker.lrange("default", 0, -1):
        if json.loads(message)["headers"]["id"] in task_ids:
            assert broker.lrem("default", 1, message) == 1


def queued(broker: "Redis[bytes]") -> list[str]:
    """The next one first."""
    return [json.loads(message)["headers"]["id"] for message in reversed(broker.lrange("default", 0, -1))]


@pytest.mark.parametrize("lost", [{0}, {1}, {4}, {0, 2, 4}, {0, 1, 2, 3, 4}])
def test_a_lost_message_is_put_back_when_its_turn_has_come(
    lost: set[int],
    celery_app: Celery,
    broker: "Redis[bytes]",
    channel: ClaimingChannelMixin,
    reconciliation: Reconciliation,
) -> None:
    jobs = [celery_app.send_task("test.work", (f"j{number}",)).id for number in range(5)]
    loses_its_message(broker, *(jobs[number] for number in lost))

    put_back: list[str] = []
    while len(put_back) < len(lost):
        before = queued(broker)
        put_back += reconciliation.run(channel)
        if queued(broker) == before:
            # The next one in line is there, so the lost one is younger: it is missed when the line has moved on.
            broker.rpop("default")
            broker.zrem("default:taskgate-order", before[0])
            celery_app.backend.count_out(before[0])

    assert sorted(put_back) == sorted(jobs[number] for number in lost)


def test_nothing_that_is_in_a_place_is_put_back(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    for number in range(5):
        celery_app.send_task("test.work", (f"j{number}",))
        celery_app.send_task("test.work", (f"p{number}",), priority=number)
        celery_app.send_task("test.work", (f"d{number}",), countdown=3600)
    before = {key: broker.dump(key) for key in broker.scan_iter()}

    assert [reconciliation.run(channel) for _ in range(3)] == [[], [], []]

    assert {key: broker.dump(key) for key in broker.scan_iter()} == before


def test_a_job_that_is_held_or_was_put_back_by_a_worker_is_not_lost(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    jobs = [celery_app.send_task("test.work", (f"j{number}",)).id for number in range(4)]
    tags = [claim(channel) for _ in range(3)]

    assert reconciliation.run(channel) == []
    for tag in tags:  # oldest first, so that they end up the wrong way round
        channel.qos.restore_by_tag(tag)

    assert queued(broker) == [jobs[2], jobs[1], jobs[0], jobs[3]]
    assert reconciliation.run(channel) == []


def claim(channel: ClaimingChannelMixin) -> str:
    """Take the next message as a worker does; returns its delivery tag."""
    tag = str(uuid4())
    keys = [*channel.lease_keys, "default"]
    assert channel.run_script(CLAIM, keys, [tag, '"default"']) is not None
    return tag


def test_what_a_stock_worker_has_taken_is_left_to_it(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    celery_app.send_task("test.work", ("a",))
    message = broker.rpop("default")
    assert message is not None
    broker.hset("unacked", "a tag of kombu's", b'[%s, "", "default"]' % message)

    assert reconciliation.run(channel) == []

    broker.hdel("unacked", "a tag of kombu's")
    assert len(reconciliation.run(channel)) == 1


def test_what_a_stock_worker_runs_is_left_to_it_and_forgotten_when_it_has_ended(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    """It acknowledges early, so its message is nowhere; what it stores goes to the record alone."""
    job = celery_app.send_task("test.work", ("a",)).id
    broker.delete("default")
    backend = celery_app.backend
    stored = {"status": "STARTED", "result": {}, "traceback": None, "children": [], "task_id": job}
    backend.client.set(backend.keys.meta(job), json.dumps(stored))

    assert reconciliation.run(channel) == []

    backend.client.set(backend.keys.meta(job), json.dumps({**stored, "status": "SUCCESS"}))
    assert reconciliation.run(channel) == []
    assert broker.keys("default*") == []
    assert backend.client.zcard(backend.keys.unfinished) == 0
    assert not backend.client.exists("taskgate-unfinished-by-owner")


def test_an_emptied_broker_gets_all_unfinished_jobs_back_and_each_runs_once(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    results = [celery_app.send_task("test.work", (f"j{number}",)) for number in range(20)]
    results += [celery_app.send_task("test.work", ("late",), countdown=15)]
    broker.flushdb()

    counting_worker("--pool", "threads", "--concurrency", "2")
    counting_worker("--pool", "threads", "--concurrency", "2")

    wait_until(lambda: all(result.successful() for result in results), timeout=60, what="every job")
    assert {marks.starts(f"j{number}") for number in range(20)} == {1}
    assert marks.starts("late") == 1


def test_a_purge_cancels_what_was_queued(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    ids = [celery_app.send_task("test.work", (f"j{number}",)).id for number in range(3)]

    assert celery_app.control.purge() == 3
    counting_worker("--pool", "solo")

    wait_until(lambda: all(AsyncResult(task_id, app=celery_app).state == "REVOKED" for task_id in ids))
    assert [marks.starts(f"j{number}") for number in range(3)] == [0, 0, 0]
    wait_until(lambda: not broker.exists("taskgate-purged"))
