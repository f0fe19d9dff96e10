"""What of a batch is accepted, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, g
from redis import Redis

from libs.flask_celery import (
    BatchItem,
    CancelledBatchError,
    EmptyBatchError,
    ExpiredBatchError,
    FlaskCelery,
    InvalidParamsError,
    JobRecord,
    JobState,
    RefusedItem,
    Then,
    UnknownBatchError,
    read_batch,
    read_batch_jobs,
    submit,
    submit_many,
)
from libs.flask_celery.batches.filling import BatchFilling
from tests.batches.submitting import ADDS, COLLECT, adds, task_ids


@pytest.mark.usefixtures("ann")
def test_one_bad_item_harms_no_other(celery_app: FlaskCelery) -> None:
    items = [
        *(BatchItem(ADDS, {"a": 1, "b": 2}), BatchItem("no.such", {}), BatchItem(ADDS, {"a": "x", "b": 2})),
        *(RefusedItem(ValueError("told before")), BatchItem(ADDS, {"a": 3, "b": 4})),
    ]

    batch = submit_many(celery_app, items)

    refusals = [outcome.refusal and outcome.refusal["type"] for outcome in batch.outcomes]
    assert refusals == [None, "UnknownTaskError", "InvalidParamsError", "ValueError", None]
    record = celery_app.backend.batches.get(batch.batch_id)
    assert (record.total, record.accepted, record.counts[JobState.PENDING], record.is_complete) == (5, 2, 2, True)
    places = celery_app.backend.batches.jobs(batch.batch_id)
    assert [(place, found.task_id) for place, found in places] == list(zip([0, 4], task_ids(batch), strict=True))
    assert all(isinstance(found, JobRecord) and found.batch_id == batch.batch_id for _, found in places)


@pytest.mark.usefixtures("ann")
def test_when_nothing_is_accepted_nothing_is_stored(celery_app: FlaskCelery, broker: Redis, results: Redis) -> None:
    with pytest.raises(EmptyBatchError) as caught:
        submit_many(celery_app, [BatchItem("no.such"), BatchItem(ADDS, {})], then=COLLECT, idempotency_key="k")

    assert [outcome.task_id for outcome in caught.value.outcomes] == [None, None]
    assert not [*broker.scan_iter("taskgate*"), *results.scan_iter("*")]
    # So that the key is free.
    assert submit_many(celery_app, adds(1), idempotency_key="k").accepted == 1


def terms(app: Flask, **limits: int) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    celery_app.terms = replace(celery_app.terms, **limits)
    return celery_app


@pytest.mark.usefixtures("ann")
def test_a_queues_limit_holds_inside_a_batch(app: Flask, broker: Redis) -> None:
    celery_app = terms(app, queue_limit=5)
    submit(celery_app, ADDS, {"a": 1, "b": 2})
    later = adds(2, options={"eta": datetime.now(UTC) + timedelta(hours=1)})

    batch = submit_many(celery_app, [*later, *adds(2), *adds(5, options={"priority": 9})])

    assert [outcome.refusal is None for outcome in batch.outcomes] == [True] * 6 + [False] * 3
    assert {outcome.refusal["type"] for outcome in batch.outcomes if outcome.refusal} == {"QueueFullError"}
    assert (broker.llen("default"), broker.llen("default\x06\x169")) == (3, 2)


@pytest.mark.usefixtures("ann")
def test_an_owners_limit_holds_inside_a_batch_and_leaves_no_empty_one(app: Flask, results: Redis) -> None:
    celery_app = terms(app, owner_limit=600)

    batch = submit_many(celery_app, adds(700))

    assert (batch.accepted, batch.outcomes[599].refusal) == (600, None)
    assert {outcome.refusal["type"] for outcome in batch.outcomes[600:] if outcome.refusal} == {"OwnerLimitError"}
    assert results.hget("taskgate-unfinished-by-owner", "ann") == "600"
    kept = set(results.scan_iter("*"))
    with pytest.raises(EmptyBatchError):
        submit_many(celery_app, adds(3), then=COLLECT, idempotency_key="full")
    assert set(results.scan_iter("*")) == kept
    assert results.zcard("taskgate-batches-ann") == results.zcard("taskgate-batches-retired") + 1 == 1


@pytest.mark.usefixtures("ann")
def test_a_cancelled_batch_takes_no_more_jobs(celery_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, batches = BatchFilling.accept, celery_app.backend.batches

    def cancel_first(self: BatchFilling, items: Any) -> Any:
        if items[0].place == 500:
            yield from self.rest()
            [(_, batch)] = batches.newest("ann")
            batches.cancel(batch.batch_id)
        yield from accept(self, items)

    monkeypatch.setattr(BatchFilling, "accept", cancel_first)

    batch = submit_many(celery_app, adds(600), then=COLLECT)

    assert batch.accepted == 500
    assert {outcome.refusal["type"] for outcome in batch.outcomes[500:] if outcome.refusal} == {
        CancelledBatchError.__name__
    }
    record = batches.get(batch.batch_id)
    assert (record.ready, record.counts[JobState.REVOKED]) == (True, 500)
    assert record.then is not None
    assert record.then.state is JobState.REVOKED


@pytest.mark.parametrize(
    ("then", "field"),
    [
        *((Then("no.such"), "task"), (Then(ADDS, {"a": 1, "b": 2}), "task")),
        *((Then("batches.collect", {"x": 1}), "params"), (Then("batches.collect", {"batch_id": "x"}), "params")),
    ],
)
@pytest.mark.usefixtures("ann")
def test_a_then_that_cannot_run_is_refused_beforehand(
    celery_app: FlaskCelery, results: Redis, then: Then, field: str
) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        submit_many(celery_app, adds(1), then=then)

    assert list(caught.value.messages["then"]) == [field]  # type: ignore[call-overload]
    assert not list(results.scan_iter("*"))


@pytest.mark.usefixtures("ann")
def test_unknown_and_expired_batches_are_told_apart(celery_app: FlaskCelery, results: Redis) -> None:
    batch = submit_many(celery_app, adds(2), idempotency_key="k")
    keys, batches = celery_app.backend.keys, celery_app.backend.batches
    assert results.ttl(keys.batch(batch.batch_id)) == results.ttl(keys.batch_jobs(batch.batch_id)) == -1
    batches.cancel(batch.batch_id)
    assert 0 < results.ttl(keys.batch_jobs(batch.batch_id)) <= 86_400 < results.ttl(keys.batch(batch.batch_id))

    results.hset(keys.batch(batch.batch_id), "expires", 1)

    for ask in (
        lambda: batches.get(batch.batch_id),
        lambda: read_batch(batch.batch_id),
        lambda: submit_many(celery_app, adds(2), idempotency_key="k"),
    ):
        with pytest.raises(ExpiredBatchError):
            ask()
    with pytest.raises(UnknownBatchError):
        batches.get("nobody's")
    assert list(batches.newest("ann")) == []


@pytest.mark.usefixtures("ann")
def test_a_job_reads_its_own_submitters_batches_alone(celery_app: FlaskCelery) -> None:
    batch = submit_many(celery_app, adds(150))

    assert [found.task_id for found in read_batch_jobs(batch.batch_id)] == task_ids(batch)
    g.principal = "bob"
    with pytest.raises(UnknownBatchError):
        read_batch(batch.batch_id)
    with pytest.raises(UnknownBatchError):
        next(read_batch_jobs(batch.batch_id))
