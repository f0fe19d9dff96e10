"""A batch under its idempotency key: the same one, finished when it was left half-way, filled by one at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, g
from redis import Redis

from libs.flask_celery import (
    BatchInProgressError,
    BatchItem,
    FlaskCelery,
    IdempotencyConflictError,
    InterruptedBatchError,
    JobState,
    SubmittedBatch,
    submit,
    submit_many,
)
from libs.flask_celery.batches.filling import BatchFilling, PlacedItem
from libs.flask_celery.batches.scripts import LEASE
from libs.flask_celery.facts import SubmissionFacts
from tests.batches.submitting import ADDS, COLLECT, adds, queued, task_ids
from tests.conftest import RedisServer, wait_until


@pytest.mark.usefixtures("ann")
def test_the_same_batch_under_its_key_is_the_same(celery_app: FlaskCelery, results: Redis) -> None:
    items = [*adds(3), BatchItem("no.such")]
    first = submit_many(celery_app, items, then=COLLECT, idempotency_key="k")
    kept = {key: results.dump(key) for key in results.scan_iter("*")}

    again = submit_many(celery_app, items, then=COLLECT, idempotency_key="k")

    assert again == replace(first, replayed=True)
    assert {key: results.dump(key) for key in results.scan_iter("*")} == kept
    for other in (items[:3], [*items, *adds(1)], list(reversed(items))):
        with pytest.raises(IdempotencyConflictError):
            submit_many(celery_app, other, then=COLLECT, idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        submit_many(celery_app, items, idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        submit(celery_app, ADDS, {"a": 0, "b": 1}, idempotency_key="k")


def test_of_many_at_once_under_one_key_one_fills_the_batch(app: Flask, broker: Redis) -> None:
    celery_app = app.extensions["celery"]

    def send(_: int) -> SubmittedBatch:
        with app.app_context():
            g.principal = "ann"
            return submit_many(celery_app, adds(600), idempotency_key="k")

    with ThreadPoolExecutor(6) as executor:
        batches = list(executor.map(send, range(6)))

    assert len({tuple(task_ids(batch)) for batch in batches}) == 1
    assert sum(not batch.replayed for batch in batches) == 1
    assert broker.llen("default") == 600


@pytest.mark.usefixtures("ann")
def test_an_items_own_key_finds_the_job_it_had_before(celery_app: FlaskCelery, broker: Redis) -> None:
    before = submit(celery_app, ADDS, {"a": 0, "b": 1}, idempotency_key="mine").task_id
    [same] = adds(1, idempotency_key="mine")
    other = BatchItem(ADDS, {"a": 9, "b": 9}, idempotency_key="mine")

    batch = submit_many(celery_app, [same, other, *adds(1, idempotency_key="new")])

    assert (batch.outcomes[0].task_id, batch.outcomes[0].replayed) == (before, True)
    assert batch.outcomes[1].refusal is not None
    assert batch.outcomes[1].refusal["type"] == "IdempotencyConflictError"
    assert celery_app.backend.batches.get(batch.batch_id).accepted == 1
    assert broker.llen("default") == 2
    assert submit(celery_app, ADDS, {"a": 0, "b": 1}, idempotency_key="new").task_id == batch.outcomes[2].task_id


def accepted_by(filling: BatchFilling, item: PlacedItem) -> list[tuple[int, Exception | None]]:
    with filling:
        return [*filling.accept([item]), *filling.rest()]


class Killed(BaseException):
    """The process is gone."""


def kill_after(
    monkeypatch: pytest.MonkeyPatch, jobs: int, error: type[BaseException], redis: RedisServer, *, told: bool = True
) -> None:
    """Let so many jobs be accepted; then the process is gone, or Redis: when it has told of them, or before that."""
    accept, seen = BatchFilling.accept, [0]

    def accept_until(self: BatchFilling, items: Any) -> Any:
        if seen[0] >= jobs and told:
            yield from self.rest()
        if seen[0] >= jobs and error is Killed:
            raise Killed
        if seen[0] >= jobs:
            redis.stop(kill=True)
        seen[0] += len(items)
        yield from accept(self, items)

    monkeypatch.setattr(BatchFilling, "accept", accept_until)


@pytest.mark.usefixtures("ann")
def test_what_a_killed_process_has_left_is_finished_under_the_key(
    celery_app: FlaskCelery, broker: Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [BatchItem("no.such"), *adds(700)]
    with monkeypatch.context() as patch:
        kill_after(patch, 500, Killed, redis_server)
        with pytest.raises(Killed):
            submit_many(celery_app, items, then=COLLECT, idempotency_key="k")
    assert broker.llen("default") == 500
    [(_, left)] = celery_app.backend.batches.newest("ann")
    assert (left.accepted, left.is_complete, left.ready) == (500, False, False)
    before = {found.task_id for found in celery_app.backend.batches.all_jobs(left.batch_id)}

    started = time.monotonic()
    batch = submit_many(celery_app, items, then=COLLECT, idempotency_key="k")

    assert time.monotonic() - started > LEASE / 2  # nobody could know at once that the other was dead
    assert (batch.batch_id, batch.accepted, batch.replayed) == (left.batch_id, 700, False)
    assert before < set(task_ids(batch))
    assert [message["headers"]["id"] for message in queued(broker)] == task_ids(batch)
    assert celery_app.backend.batches.get(batch.batch_id).is_complete


@pytest.mark.usefixtures("ann")
def test_redis_going_away_half_way_is_told_and_finished_under_the_key(
    celery_app: FlaskCelery, redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_after(patch, 500, OSError, redis_server)
        with pytest.raises(InterruptedBatchError) as caught:
            submit_many(celery_app, adds(700), idempotency_key="k")
    redis_server.start()

    told = caught.value.outcomes
    assert [outcome.refusal is None for outcome in told] == [True] * 500 + [False] * 200
    assert all(outcome.task_id for outcome in told)  # those in doubt can be asked for
    batch = submit_many(celery_app, adds(700), idempotency_key="k")
    assert (batch.batch_id, batch.accepted) == (caught.value.batch_id, 700)
    assert task_ids(batch)[:500] == [outcome.task_id for outcome in told[:500]]
    with Redis.from_url(redis_url, db=2) as broker:
        assert broker.llen("default") == 700


@pytest.mark.usefixtures("ann")
def test_what_redis_has_not_answered_when_it_goes_away_is_in_doubt_and_accepted_once(
    celery_app: FlaskCelery, redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_after(patch, 1000, OSError, redis_server, told=False)
        with pytest.raises(InterruptedBatchError) as caught:
            submit_many(celery_app, adds(1200), idempotency_key="k")
    redis_server.start()

    known = [outcome.refusal is None for outcome in caught.value.outcomes]
    assert known == [True] * 500 + [False] * 700  # the second 500 were sent, and have come to nothing or to jobs
    batch = submit_many(celery_app, adds(1200), idempotency_key="k")
    assert (batch.batch_id, batch.accepted) == (caught.value.batch_id, 1200)
    assert task_ids(batch)[:500] == [outcome.task_id for outcome in caught.value.outcomes[:500]]
    with Redis.from_url(redis_url, db=2) as broker:
        assert sorted(message["headers"]["id"] for message in queued(broker)) == sorted(task_ids(batch))


@pytest.mark.usefixtures("ann")
def test_an_attempt_that_was_overtaken_accepts_nothing_more(
    celery_app: FlaskCelery, broker: Redis, results: Redis
) -> None:
    batch = submit_many(celery_app, adds(2))
    key = celery_app.backend.keys.batch(batch.batch_id)
    facts = replace(SubmissionFacts.of_caller(), batch_id=batch.batch_id)
    results.hincrby(key, "attempt", 1)
    ledgers = len(list(results.scan_iter("taskgate-job-*")))

    for item in (*adds(1), *adds(1, idempotency_key="alone")):
        with pytest.raises(BatchInProgressError):
            accepted_by(BatchFilling(celery_app, facts, batch.batch_id, 1), PlacedItem(7, "late", item))
    assert (broker.llen("default"), len(list(results.scan_iter("taskgate-job-*")))) == (2, ledgers)
    filling = BatchFilling(celery_app, facts, batch.batch_id, 2)
    assert accepted_by(filling, PlacedItem(7, "in time", *adds(1))) == [(7, None)]


@pytest.mark.usefixtures("ann")
def test_a_batch_that_somebody_left_half_way_can_be_cancelled(
    celery_app: FlaskCelery, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = celery_app.backend.batches
    with monkeypatch.context() as patch:
        kill_after(patch, 500, Killed, redis_server)
        with pytest.raises(Killed):
            submit_many(celery_app, adds(600), idempotency_key="k")
    [(_, left)] = batches.newest("ann")
    busy = int(celery_app.backend.client.hget(celery_app.backend.keys.batch(left.batch_id), "busy"))
    wait_until(
        lambda: time.time() * 1000 >= busy + 1, what="the end of its lease"
    )  # a whole one later, as Redis has it

    batches.cancel(left.batch_id)

    record = batches.get(left.batch_id)
    assert (record.ready, record.counts[JobState.REVOKED], record.is_complete) == (True, 500, True)
    again = submit_many(celery_app, adds(600), idempotency_key="k")
    assert (again.replayed, again.accepted) == (True, 500)
    assert {outcome.refusal["type"] for outcome in again.outcomes if outcome.refusal} == {"CancelledBatchError"}
