"""What was accepted and is in no place is put back in its queue, once; what is in a place is left alone."""

import json
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from libs.flask_celery import reconcile
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


def passes_until(count: int, reconciliation: Reconciliation, channel: ClaimingChannelMixin) -> list[str]:
    """Passes until so many are put back, and one more."""
    put_back: list[str] = []
    deadline = time.monotonic() + 30
    while len(put_back) < count and time.monotonic() < deadline:
        put_back += reconciliation.run(channel)
        time.sleep(0.02)
    return put_back + reconciliation.run(channel)


def test_a_deleted_list_is_put_back_whole_and_in_its_order(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin
) -> None:
    """Also of a queue that the worker which looks does not consume."""
    jobs = [celery_app.send_task("test.work", (f"j{number}",), queue="another").id for number in range(50)]
    broker.delete("another")

    put_back = passes_until(50, Reconciliation(celery_app, grace=0.05), channel)

    assert sorted(put_back) == sorted(jobs)
    restored = [json.loads(message)["headers"]["id"] for message in reversed(broker.lrange("another", 0, -1))]
    assert restored == jobs == [member.decode() for member in broker.zrange("another:taskgate-order", 0, -1)]


def test_more_lost_jobs_than_one_pass_looks_at_all_come_back(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_PER_STEP", 10)
    monkeypatch.setattr(reconcile, "_MOST_STEPS", 2)
    jobs = [celery_app.send_task("test.work", (f"j{number}",)).id for number in range(300)]
    broker.flushdb()
    reconciliation = Reconciliation(celery_app, grace=0.5)

    put_back = passes_until(300, reconciliation, channel)

    assert sorted(put_back) == sorted(jobs)


def test_a_message_is_not_taken_for_another_whose_id_contains_its_own(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    celery_app.send_task("test.work", ("a",), task_id="77")
    claim(channel)
    celery_app.send_task("test.work", ("b",), task_id="7")
    broker.delete("default")

    assert reconciliation.run(channel) == ["7"]


def test_a_job_that_a_stock_worker_gave_back_and_ran_leaves_nothing(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    """It knows nothing of what our worker had noted as it took the message."""
    job = celery_app.send_task("test.work", ("a",)).id
    tag = claim(channel)
    broker.hdel("unacked", tag)
    broker.zrem("unacked_index", tag)
    backend = celery_app.backend
    ended = {"status": "SUCCESS", "result": "a", "traceback": None, "children": [], "task_id": job}
    backend.client.set(backend.keys.meta(job), json.dumps(ended), ex=60)

    reconciliation.run(channel)

    assert broker.hlen("taskgate-held") == 0
    assert backend.client.zcard(backend.keys.unfinished) == 0
    assert not backend.client.exists("taskgate-unfinished-by-owner")
    assert all(backend.client.ttl(key) > 0 for key in (backend.keys.ledger(job), backend.keys.message(job)))


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
    assert isinstance(channel.run_script(CLAIM, keys, [tag, '"default"', 0, 0, "", "", "", 0]), list)
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


@pytest.mark.long
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


def test_lists_that_are_empty_are_forgotten_until_something_is_pushed_to_them(
    celery_app: Celery, broker: "Redis[bytes]", channel: ClaimingChannelMixin, reconciliation: Reconciliation
) -> None:
    for number in range(3):
        celery_app.send_task("test.work", ("a",), queue=f"once{number}")
    celery_app.send_task("test.work", ("b",))
    reconciliation.run(channel)
    assert broker.smembers("taskgate-lists") == {b"once0", b"once1", b"once2", b"default"}
    for number in range(3):
        channel._purge(f"once{number}")

    reconciliation.run(channel)

    assert broker.smembers("taskgate-lists") == {b"default"}
    job = celery_app.send_task("test.work", ("c",), queue="once1").id
    broker.delete("once1")
    assert passes_until(1, reconciliation, channel) == [job]
