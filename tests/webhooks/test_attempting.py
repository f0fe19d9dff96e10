"""One attempt at a delivery: what is said, what is kept of it, and what follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import Retry
from flask import Flask
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from app.webhooks import Delivery, DeliveryLog, DeliveryStatus, Webhooks, delivery_id_of
from app.webhooks.attempting import attempt_delivery
from app.webhooks.payload import LONGEST_PAYLOAD, payload_of
from app.webhooks.sending import Outcome, Sender
from app.webhooks.tasks import NAME
from libs.flask_celery import SubmittedJob

URL = "https://example.com/x"
DELAYS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


class Answers(Sender):
    """Sends nothing, and was answered in this way."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(timeout=15, allow_http=False, allowed=())
        object.__setattr__(self, "outcome", outcome)
        object.__setattr__(self, "sent", [])

    def send(self, url: str, body: bytes, headers: Any) -> Outcome:
        self.sent.append((url, body, headers))  # type: ignore[attr-defined]
        return self.outcome  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(autouse=True)
def context(app: Flask, webhooks: Webhooks) -> Iterator[None]:
    with app.app_context():
        webhooks.require_secret("ann")
        yield


@pytest.fixture
def delivery_of(log: DeliveryLog, submit_for: Callable[..., SubmittedJob], app: Flask) -> Callable[..., Delivery]:
    """``delivery_of(3)``: that of a job with this result."""

    def deliver(result: Any = 3, state: str = "SUCCESS") -> Delivery:
        task_id = submit_for("ann", URL).task_id
        app.extensions["celery"].backend.store_result(task_id, result, state)
        log.claim(10)
        found = log.get(delivery_id_of(task_id))
        assert found is not None
        return found

    return deliver


def answered(webhooks: Webhooks, status: int | None = None, error: str | None = None, **more: Any) -> Answers:
    webhooks.sender = Answers(Outcome(status, error, more.pop("seconds", 0.1), **more))
    return webhooks.sender


def said_of(webhooks: Webhooks, delivery: Delivery) -> dict[str, Any]:
    body = payload_of(webhooks, delivery)
    assert len(body) <= LONGEST_PAYLOAD
    said: dict[str, Any] = json.loads(body)
    return said


def again(webhooks: Webhooks, delivery: Delivery) -> Delivery:
    found = webhooks.log.get(delivery.id)
    assert found is not None
    return found


@pytest.mark.parametrize("status", [200, 204, 299])
def test_it_is_delivered(status: int, webhooks: Webhooks, delivery_of: Callable[..., Delivery]) -> None:
    delivery = delivery_of()
    sender = answered(webhooks, status)

    assert attempt_delivery(webhooks, delivery) is None

    ((url, body, headers),) = sender.sent  # type: ignore[attr-defined]
    assert (url, headers["webhook-id"]) == (URL, delivery.id)
    assert json.loads(body)["data"]["result"] == 3
    kept = again(webhooks, delivery)
    assert kept.status is DeliveryStatus.DELIVERED
    assert [(attempt.status, attempt.error, attempt.duration) for attempt in kept.attempts] == [(status, None, 100)]


def test_it_is_tried_again_after_longer_and_longer_times_and_then_no_more(
    webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    delivery = delivery_of()
    answered(webhooks, 500)

    waits = [attempt_delivery(webhooks, again(webhooks, delivery)) for _ in range(10)]

    assert waits.pop() is None
    for wait, delay in zip(waits, DELAYS, strict=True):
        assert wait is not None
        assert 0.8 * delay <= wait <= 1.2 * delay
    assert len({round((wait or 0) / delay, 6) for wait, delay in zip(waits, DELAYS, strict=True)}) > 5  # jitter
    kept = again(webhooks, delivery)
    assert (kept.status, len(kept.attempts), kept.next_try_at) == (DeliveryStatus.FAILED, 10, None)


def test_a_receiver_that_wants_no_more_is_not_asked_again(
    webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    delivery = delivery_of()
    answered(webhooks, 410)

    assert attempt_delivery(webhooks, delivery) is None
    assert again(webhooks, delivery).status is DeliveryStatus.GONE


@pytest.mark.parametrize(("status", "heeded"), [(429, True), (502, True), (503, True), (504, True), (500, False)])
def test_a_receiver_is_left_alone_for_as_long_as_it_asks(
    status: int, heeded: bool, webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    answered(webhooks, status, retry_after=1_000)

    wait = attempt_delivery(webhooks, delivery_of())

    assert (wait == 1_000) == heeded


def test_a_test_is_tried_once(webhooks: Webhooks) -> None:
    delivery = webhooks.log.get(webhooks.log.start_test("ann", URL))
    assert delivery is not None
    sender = answered(webhooks, None, "timeout")

    assert attempt_delivery(webhooks, delivery) is None
    assert again(webhooks, delivery).status is DeliveryStatus.FAILED
    assert json.loads(sender.sent[0][1]) | {"timestamp": ""} == {  # type: ignore[attr-defined]
        "type": "webhook.test",
        "timestamp": "",
        "data": {"delivery_id": delivery.id},
    }


@pytest.mark.parametrize(("seconds", "slow"), [(4.9, False), (5.1, True)])
def test_a_receiver_that_takes_its_time_and_then_nothing_counts_as_slow(
    seconds: float, slow: bool, webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    first, second, third = delivery_of(), delivery_of(), delivery_of()
    answered(webhooks, None, "timeout", seconds=seconds)

    attempt_delivery(webhooks, first)

    assert webhooks.log.enter(second, longest=60)
    assert webhooks.log.enter(third, longest=60) == (not slow)


def test_what_cannot_be_signed_here_is_tried_again(webhooks: Webhooks, delivery_of: Callable[..., Delivery]) -> None:
    delivery = delivery_of()
    sender = answered(webhooks, 200)
    webhooks.secrets = type(webhooks.secrets)(lambda: ["x" * 40])

    assert attempt_delivery(webhooks, delivery) is not None
    assert [attempt.error for attempt in again(webhooks, delivery).attempts] == ["signing"]
    assert sender.sent == []  # type: ignore[attr-defined]


def test_an_error_of_our_own_is_a_failed_try_and_says_no_more(
    webhooks: Webhooks,
    delivery_of: Callable[..., Delivery],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = delivery_of()

    def away(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("the database is away"))

    monkeypatch.setattr(webhooks.secrets, "signing", away)

    assert attempt_delivery(webhooks, delivery) is not None
    assert [attempt.error for attempt in again(webhooks, delivery).attempts] == ["internal"]
    assert f"Webhook {delivery.id} could not be sent" in caplog.text


def test_while_redis_is_away_the_task_comes_back(
    app: Flask, webhooks: Webhooks, delivery_of: Callable[..., Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = delivery_of()
    task = app.extensions["celery"].tasks[NAME]

    def away(*_: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(DeliveryLog, "get", away)
    task.push_request(id="x", called_directly=False, is_eager=True, retries=0, delivery_info={}, args=(), kwargs={})

    with pytest.raises(Retry):
        task.run(delivery.id)
    task.pop_request()


@pytest.mark.parametrize(
    ("state", "event"), [("SUCCESS", "job.succeeded"), ("FAILURE", "job.failed"), ("REVOKED", "job.cancelled")]
)
def test_what_is_said_of_each_end(
    state: str, event: str, webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    said = said_of(webhooks, delivery_of(3 if state == "SUCCESS" else ValueError("no"), state))

    assert said.keys() == {"type", "timestamp", "data"}
    assert (said["type"], said["data"]["state"], said["data"]["ready"]) == (event, state, True)
    assert said["timestamp"] == said["data"]["finished_at"]
    assert said["data"]["error"] == (None if state == "SUCCESS" else {"type": "ValueError", "message": "no"})
    assert "traceback" not in said["data"]
    assert said["data"]["omitted"] == []


@pytest.mark.parametrize("size", [19_000, 21_000, 5_000_000])
def test_a_large_result_is_left_out_with_a_link_to_it(
    size: int, webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    delivery = delivery_of("ü" * (size // 2))

    data = said_of(webhooks, delivery)["data"]

    assert (data["result"] is None) == (size > 20_000)
    assert data["omitted"] == (["result"] if size > 20_000 else [])
    assert data["links"]["result"] == f"/api/1.0/results/{delivery.task_id}"


def test_so_is_whatever_else_is_large(webhooks: Webhooks, delivery_of: Callable[..., Delivery]) -> None:
    data = said_of(webhooks, delivery_of(ValueError("中" * 30_000), "FAILURE"))["data"]

    assert (data["error"], data["omitted"]) == (None, ["result", "files", "progress", "error"])


def test_of_a_job_whose_result_has_expired_its_end_is_told(
    app: Flask, webhooks: Webhooks, delivery_of: Callable[..., Delivery]
) -> None:
    delivery = delivery_of(ValueError("x"), "FAILURE")
    backend = app.extensions["celery"].backend
    assert delivery.task_id is not None
    backend.client.delete(backend.keys.meta(delivery.task_id))

    said = said_of(webhooks, delivery)

    assert said["type"] == "job.failed"
    assert said["data"] == {
        "task_id": delivery.task_id,
        "state": "FAILURE",
        "ready": True,
        "omitted": ["result", "error"],
    }
