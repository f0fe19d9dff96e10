"""The delivery log: what is owed becomes a delivery once, workers share the work, and nothing grows without bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from flask import Flask
from redis import Redis

from app.webhooks import (
    Delivery,
    DeliveryLog,
    DeliveryStatus,
    FullError,
    UnfinishedError,
    Webhooks,
    delivery_id_of,
    delivery_log,
)
from app.webhooks.delivery_log import Attempt
from app.webhooks.publisher import publish
from libs.flask_celery import SubmittedJob
from tests.conftest import wait_until

URL = "https://example.com/x?token=geheim"


@pytest.fixture
def client(app: Flask) -> Redis:
    found: Redis = app.extensions["celery"].backend.client
    return found


@pytest.fixture
def ended_job(app: Flask, submit_for: Callable[..., SubmittedJob]) -> Callable[[str], str]:
    def end(owner: str = "ann") -> str:
        task_id = submit_for(owner, URL).task_id
        app.extensions["celery"].backend.store_result(task_id, 3, "SUCCESS")
        return task_id

    return end


def found_in(log: DeliveryLog, delivery_id: str) -> Delivery:
    delivery = log.get(delivery_id)
    assert delivery is not None
    return delivery


def note(log: DeliveryLog, delivery_id: str, status: DeliveryStatus, *, http: int = 500) -> None:
    attempt = Attempt(datetime.now(UTC), http, None, 5)
    log.note(found_in(log, delivery_id), attempt, status, 60.0 if status is DeliveryStatus.PENDING else None)


def keys_of_the_log(client: Redis) -> set[str]:
    return {key.decode() for key in client.scan_iter("taskgate-webhook*")}


def test_what_is_owed_becomes_a_delivery(log: DeliveryLog, ended_job: Callable[..., str]) -> None:
    task_id = ended_job()
    before = datetime.now(UTC)

    ((found, turn),) = log.claim(10)

    assert (found, turn) == (delivery_id_of(task_id), 1)
    delivery = found_in(log, found)
    assert delivery == replace(delivery, owner="ann", event="job", task_id=task_id, url=URL, tries=0, attempts=())
    assert delivery.status is DeliveryStatus.PENDING
    assert delivery.created_at < before
    assert "geheim" not in repr(delivery)


def test_it_is_claimed_by_one_worker_and_by_another_when_that_one_has_died(
    log: DeliveryLog, ended_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "_CLAIM", 200)
    ended_job()

    first = log.claim(10)
    assert log.claim(10) == []
    wait_until(lambda: log.claim(10) == first, what="the claim's end")
    log.published(first[0][0])
    time.sleep(0.3)
    assert log.claim(10) == []


def test_a_task_is_published_once_however_often_it_is_claimed(
    app: Flask, webhooks: Webhooks, ended_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    celery_app: Celery = app.extensions["celery"]
    task_id = ended_job()
    with celery_app.connection_for_write() as connection, connection.channel() as channel:
        queued = channel._size("default")
        monkeypatch.setattr(DeliveryLog, "published", lambda *_: None)  # as if the worker had died before it

        assert publish(celery_app, webhooks) == 1
        monkeypatch.setattr(delivery_log, "_now", lambda: time.time_ns() // 1_000_000 + 60_000)
        assert publish(celery_app, webhooks) == 1

        assert channel._size("default") == queued + 1
    record = celery_app.backend.records.get(f"webhook-{delivery_id_of(task_id)}-1")
    assert (record.task, record.owner) == ("taskgate.deliver_webhook", "")


def test_each_takes_its_share_and_each_owner_has_a_turn(log: DeliveryLog, ended_job: Callable[[str], str]) -> None:
    anns, bobs = [ended_job("ann") for _ in range(5)], [ended_job("bob")]

    claimed = [found for _ in range(4) for found, _ in log.claim(2)]

    assert sorted(claimed) == sorted(map(delivery_id_of, anns + bobs))


def test_an_owner_has_so_many_under_way_and_the_rest_have_their_turn_later(
    log: DeliveryLog, ended_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "MOST_PENDING", 2)
    everything = {delivery_id_of(ended_job()) for _ in range(3)}

    first = [found for found, _ in log.claim(10)]
    assert len(first) == 2
    (last,) = everything - set(first)
    for found in first:
        log.published(found)
    assert log.claim(10) == []
    with pytest.raises(FullError):
        log.start_test("ann", URL)
    log.start_test("bob", URL)

    note(log, first[0], DeliveryStatus.PENDING)
    assert last not in dict(log.claim(10))
    note(log, first[0], DeliveryStatus.DELIVERED)
    assert last in dict(log.claim(10))


def test_attempts_are_kept_in_their_order_and_are_not_too_many(log: DeliveryLog) -> None:
    found = log.start_test("ann", URL)

    for code in range(300, 325):
        note(log, found, DeliveryStatus.PENDING, http=code)

    delivery = found_in(log, found)
    assert [attempt.status for attempt in delivery.attempts] == list(range(305, 325))
    assert delivery.tries == 25
    assert delivery.next_try_at is not None
    assert 55 < (delivery.next_try_at - datetime.now(UTC)).total_seconds() <= 60
    note(log, found, DeliveryStatus.FAILED)
    assert found_in(log, found).next_try_at is None


def test_of_what_is_over_the_newest_is_kept_and_of_what_goes_on_everything(
    log: DeliveryLog, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "MOST_OVER", 3)
    going_on = log.start_test("ann", URL)
    over = []
    for _ in range(6):
        over.append(log.start_test("ann", URL))
        note(log, over[-1], DeliveryStatus.DELIVERED)
        time.sleep(0.002)  # it tells what is newer by the millisecond

    assert {delivery.id for _, delivery in log.newest("ann")} == {going_on, *over[-3:]}
    assert all(log.get(found) is None for found in over[:3])
    assert {key for key in keys_of_the_log(client) if over[0] in key or over[2] in key} == set()


def test_everything_of_the_log_is_forgotten_in_time(
    log: DeliveryLog, client: Redis, ended_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "KEPT", 300)
    monkeypatch.setattr(delivery_log, "_SLOW", 300)
    ended_job()
    ((found, _),) = log.claim(10)
    log.published(found)
    delivery = found_in(log, found)
    assert log.enter(delivery, longest=0.3)
    log.leave(delivery, slow=True)
    note(log, found, DeliveryStatus.FAILED)
    assert log.enter(delivery, longest=0.3)

    wait_until(lambda: keys_of_the_log(client) == set(), what="the expiry")


def test_what_was_never_heard_of_again_does_not_count_for_ever(
    log: DeliveryLog, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "MOST_PENDING", 1)
    lost = log.start_test("ann", URL)
    now = time.time_ns() // 1_000_000
    monkeypatch.setattr(delivery_log, "_now", lambda: now + delivery_log.KEPT + 1_000)

    started = log.start_test("ann", URL)

    assert client.zrange("taskgate-webhooks-log-ann", 0, -1) == [started.encode()]
    assert client.zrange("taskgate-webhooks-pending-ann", 0, -1) == [started.encode()]
    assert lost != started


def test_a_page_goes_on_where_the_one_before_has_ended(log: DeliveryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_log, "_now", lambda: 1_700_000_000_000)  # all at the same moment
    made = {log.start_test("ann", URL) for _ in range(120)}
    log.start_test("bob", URL)

    seen: list[str] = []
    position: tuple[int, str] | None = None
    while page := list(zip(range(50), log.newest("ann", before=position), strict=False)):
        seen += [delivery.id for _, (_, delivery) in page]
        position = (page[-1][1][0], page[-1][1][1].id)

    assert len(seen) == 120
    assert set(seen) == made


def test_an_owner_has_few_sent_at_a_time(log: DeliveryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_log, "AT_A_TIME", 2)
    one, two, three = (found_in(log, log.start_test("ann", URL)) for _ in range(3))
    bobs = found_in(log, log.start_test("bob", URL))

    assert [log.enter(delivery, longest=60) for delivery in (one, two, three, bobs)] == [True, True, False, True]
    assert log.enter(one, longest=60)  # delivered again, since its worker died
    log.leave(one, slow=False)
    assert log.enter(three, longest=60)


def test_who_keeps_workers_waiting_has_one_at_a_time_for_a_while(
    log: DeliveryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_log, "_SLOW", 300)
    one, two = (found_in(log, log.start_test("ann", URL)) for _ in range(2))
    assert log.enter(one, longest=60)

    log.leave(one, slow=True)

    assert [log.enter(one, longest=60), log.enter(two, longest=60)] == [True, False]
    wait_until(lambda: log.enter(two, longest=60), what="the end of the slowness")


def test_a_place_of_a_worker_that_died_is_free_again(log: DeliveryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_log, "AT_A_TIME", 1)
    one, two = (found_in(log, log.start_test("ann", URL)) for _ in range(2))
    assert log.enter(one, longest=0.2)
    assert not log.enter(two, longest=60)

    wait_until(lambda: log.enter(two, longest=60), what="the end of the place")


def test_one_that_is_over_can_be_started_anew(log: DeliveryLog) -> None:
    found = log.start_test("ann", URL)
    assert dict(log.claim(10)) == {found: 1}
    log.published(found)
    with pytest.raises(UnfinishedError):
        log.start_anew(found_in(log, found))
    note(log, found, DeliveryStatus.GONE)

    log.start_anew(found_in(log, found))

    anew = found_in(log, found)
    assert (anew.status, anew.tries, len(anew.attempts)) == (DeliveryStatus.PENDING, 0, 1)
    assert dict(log.claim(10)) == {found: 2}


def test_one_that_is_not_the_owners_cannot(log: DeliveryLog, client: Redis) -> None:
    delivery = found_in(log, log.start_test("ann", URL))

    for other in (replace(delivery, owner="bob"), replace(delivery, id="msg_0")):
        kept: dict[str, Any] = {key: client.dump(key) for key in keys_of_the_log(client)}
        with pytest.raises(LookupError):
            log.start_anew(other)
        assert {key: client.dump(key) for key in keys_of_the_log(client)} == kept


def test_what_came_of_a_forgotten_delivery_is_not_kept(log: DeliveryLog, client: Redis) -> None:
    delivery = found_in(log, log.start_test("ann", URL))
    client.flushdb()

    log.note(delivery, Attempt(datetime.now(UTC), 200, None, 1), DeliveryStatus.DELIVERED, None)

    assert keys_of_the_log(client) == set()
