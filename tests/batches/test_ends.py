"""A batch is over when its last job is final, however that ended: noticed once, and ``then`` submitted once."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery.app.task import Context
from flask import Flask
from redis import Redis

from libs.flask_celery import FlaskCelery, JobState, SubmittedBatch, run_again, submit, submit_many
from libs.flask_celery import ledger as ledger_module
from libs.flask_celery.batches.then import submit_overdue
from libs.flask_celery.facts import HEADER
from tests.batches.submitting import ADDS, COLLECT, adds, queued, task_ids

pytestmark = pytest.mark.usefixtures("ann")


def run_of(task_id: str, batch: SubmittedBatch, *, fence: int = 1, retries: int = 0) -> Context:
    """What a worker has in hand when it runs the job."""
    facts = {"submitted_at": 1, "owner": "ann", "batch_id": batch.batch_id}
    return Context(id=task_id, task=ADDS, retries=retries, taskgate_fence=fence, **{HEADER: facts})


def store(celery_app: FlaskCelery, batch: SubmittedBatch, task_id: str, state: str, **run: int) -> None:
    result: Any = ValueError("no") if state == "FAILURE" else 1
    if state == "FAILURE":
        result = celery_app.backend.prepare_exception(result)
    celery_app.backend.store_state(task_id, result, state, request=run_of(task_id, batch, **run))


def thens(broker: Redis) -> list[dict[str, Any]]:
    return [message for message in queued(broker) if message["headers"]["task"] == COLLECT.task]


def counts(celery_app: FlaskCelery, batch: SubmittedBatch) -> dict[str, int]:
    record = celery_app.backend.batches.get(batch.batch_id)
    return {state.value: count for state, count in record.counts.items() if count}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_then_is_submitted_by_the_last_end_whichever_it_is(
    celery_app: FlaskCelery, broker: Redis, order: tuple[int, ...]
) -> None:
    batch = submit_many(celery_app, adds(3), then=COLLECT)
    ids = task_ids(batch)
    end = [
        lambda: store(celery_app, batch, ids[0], "SUCCESS"),
        lambda: store(celery_app, batch, ids[1], "FAILURE"),
        lambda: celery_app.backend.records.cancel(ids[2]),
    ]
    for number, job in enumerate(order):
        record = celery_app.backend.batches.get(batch.batch_id)
        assert (record.ready, thens(broker), sum(record.counts.values())) == (False, [], 3), number
        assert record.then is not None
        assert record.then.state is None
        end[job]()

    record = celery_app.backend.batches.get(batch.batch_id)
    assert (record.ready, counts(celery_app, batch)) == (True, {"SUCCESS": 1, "FAILURE": 1, "REVOKED": 1})
    [message] = thens(broker)
    assert record.then is not None
    assert (record.then.task_id, record.then.state) == (message["headers"]["id"], JobState.PENDING)
    then = celery_app.backend.records.get(record.then.task_id)
    assert (then.owner, then.task, then.batch_id) == ("ann", COLLECT.task, batch.batch_id)
    # It is no job of its own batch: its end is not counted.
    store(celery_app, batch, then.task_id, "SUCCESS")
    assert counts(celery_app, batch) == {"SUCCESS": 1, "FAILURE": 1, "REVOKED": 1}


def test_states_are_counted_as_they_are_stored(celery_app: FlaskCelery) -> None:
    batch = submit_many(celery_app, adds(2))
    task_id, other = task_ids(batch)
    seen = []
    for state in ("STARTED", "PROGRESS", "PROGRESS", "A WORD OF ITS OWN", "RETRY", "STARTED", "SUCCESS", "FAILURE"):
        store(celery_app, batch, task_id, state)
        seen.append(counts(celery_app, batch))

    states = ("STARTED", "PROGRESS", "PROGRESS", "PROGRESS", "RETRY", "STARTED", "SUCCESS", "SUCCESS")
    assert seen == [{"PENDING": 1, state: 1} for state in states]
    assert not celery_app.backend.batches.get(batch.batch_id).ready
    celery_app.backend.records.cancel(other)
    assert celery_app.backend.batches.get(batch.batch_id).ready


def test_an_overtaken_run_counts_for_nothing(celery_app: FlaskCelery) -> None:
    batch = submit_many(celery_app, adds(1))
    [task_id] = task_ids(batch)
    store(celery_app, batch, task_id, "STARTED", fence=2)

    store(celery_app, batch, task_id, "SUCCESS", fence=1)

    assert counts(celery_app, batch) == {"STARTED": 1}
    assert not celery_app.backend.batches.get(batch.batch_id).ready


def test_many_ends_at_once_are_one_end(app: Flask, celery_app: FlaskCelery, broker: Redis) -> None:
    batch = submit_many(celery_app, adds(60), then=COLLECT)

    def end(task_id: str) -> None:
        store(celery_app, batch, task_id, "SUCCESS")
        submit_overdue(celery_app)  # what the reconciler does meanwhile

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(end, task_ids(batch) * 2))

    assert len(thens(broker)) == 1
    assert counts(celery_app, batch) == {"SUCCESS": 60}
    assert broker.connection_pool is not None
    assert not celery_app.backend.client.exists(celery_app.backend.keys.batches_due)
    assert not celery_app.backend.client.exists(celery_app.backend.keys.batch_then(batch.batch_id))


def test_the_reconciler_submits_what_a_killed_process_has_not(
    celery_app: FlaskCelery, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = submit_many(celery_app, adds(1), then=COLLECT)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "submit_then", lambda *_: None)  # killed right after the store
        store(celery_app, batch, task_ids(batch)[0], "SUCCESS")
    assert celery_app.backend.batches.get(batch.batch_id).ready
    assert thens(broker) == []

    assert submit_overdue(celery_app) == [batch.batch_id]
    # And what one that was killed after the publish has not said.
    [message] = thens(broker)
    celery_app.backend.client.zadd(celery_app.backend.keys.batches_due, {batch.batch_id: 1})
    copy = celery_app.backend.client.get(celery_app.backend.keys.message(message["headers"]["id"]))
    celery_app.backend.client.set(celery_app.backend.keys.batch_then(batch.batch_id), copy)
    assert submit_overdue(celery_app) == [batch.batch_id]

    assert len(thens(broker)) == 1
    assert submit_overdue(celery_app) == []


def test_a_batch_that_was_over_before_it_was_complete(
    celery_app: FlaskCelery, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from libs.flask_celery.batches.book import BatchBook

    seal = BatchBook.seal

    def seal_late(self: BatchBook, opened: Any, outcomes: Any) -> None:
        for found in celery_app.backend.batches.all_jobs(opened.batch_id):
            celery_app.backend.records.cancel(found.task_id)
        assert thens(broker) == []
        assert not celery_app.backend.batches.get(opened.batch_id).ready
        seal(self, opened, outcomes)

    monkeypatch.setattr(BatchBook, "seal", seal_late)

    batch = submit_many(celery_app, adds(2), then=COLLECT)

    assert celery_app.backend.batches.get(batch.batch_id).ready
    assert len(thens(broker)) == 1


def test_a_run_that_ends_without_a_final_state_ends_for_its_batch(celery_app: FlaskCelery, broker: Redis) -> None:
    batch = submit_many(celery_app, adds(2), then=COLLECT)
    early, ignored = task_ids(batch)
    for task_id in (early, ignored):
        store(celery_app, batch, task_id, "STARTED")
    celery_app.backend.let_go(run_of(early, batch))  # acknowledged before it runs: its end is to come
    celery_app.backend.let_go(run_of(ignored, batch), has_ended=True)
    assert not celery_app.backend.batches.get(batch.batch_id).ready

    store(celery_app, batch, early, "SUCCESS")

    assert celery_app.backend.batches.get(batch.batch_id).ready
    assert (counts(celery_app, batch), len(thens(broker))) == ({"STARTED": 1, "SUCCESS": 1}, 1)


def test_what_has_ended_without_a_final_state_is_never_late(celery_app: FlaskCelery) -> None:
    """Nobody would end it, nor take it off the list of those whose process is to be ended."""
    job = submit(celery_app, ADDS, {"a": 1, "b": 2}, cancel_after=1.0, expires=60)
    backend = celery_app.backend
    backend.count_out(job.task_id)  # lost, and ended when its time is over
    assert backend.client.zcard(backend.keys.deadlines) == 2
    run = Context(id=job.task_id, task=ADDS, retries=0)
    backend.store_state(job.task_id, None, "STARTED", request=run)

    backend.let_go(run, has_ended=True)

    assert backend.client.zcard(backend.keys.deadlines) == 0
    assert backend.client.hmget(backend.keys.ledger(job.task_id), "deadline", "expires") == [None, None]


def test_what_a_stock_worker_has_ended_is_counted_when_it_is_noticed(celery_app: FlaskCelery, broker: Redis) -> None:
    batch = submit_many(celery_app, adds(1), then=COLLECT)
    [task_id] = task_ids(batch)
    meta = {"status": "SUCCESS", "result": 1, "traceback": None, "children": [], "task_id": task_id}
    celery_app.backend.client.set(celery_app.backend.keys.meta(task_id), json.dumps(meta))

    celery_app.backend.count_out(task_id)  # the reconciler, which misses its message

    assert counts(celery_app, batch) == {"SUCCESS": 1}
    assert len(thens(broker)) == 1


def test_a_job_that_is_lost_for_good_ends_for_its_batch(celery_app: FlaskCelery, broker: Redis) -> None:
    batch = submit_many(celery_app, adds(2), then=COLLECT)
    lost, other = task_ids(batch)
    store(celery_app, batch, other, "SUCCESS")

    celery_app.backend.count_out(lost)  # the reconciler, which finds neither its message nor a copy

    assert counts(celery_app, batch) == {"PENDING": 1, "SUCCESS": 1}
    assert celery_app.backend.batches.get(batch.batch_id).ready
    assert len(thens(broker)) == 1


@pytest.mark.parametrize("state", ["PENDING", "STARTED"])
def test_a_withdrawn_job_leaves_its_batch(celery_app: FlaskCelery, state: str) -> None:
    """Its message may have arrived all the same, and a worker have begun with it."""
    batch = submit_many(celery_app, adds(2))
    first, second = task_ids(batch)
    store(celery_app, batch, first, state)

    celery_app.backend.withdraw(first)

    assert counts(celery_app, batch) == {"PENDING": 1}

    record = celery_app.backend.batches.get(batch.batch_id)
    assert [found.task_id for found in celery_app.backend.batches.all_jobs(batch.batch_id)] == [second]
    assert (record.accepted, record.ready) == (1, False)
    celery_app.backend.records.cancel(second)
    assert celery_app.backend.batches.get(batch.batch_id).ready


def test_cancelling_cancels_all_that_is_not_final(celery_app: FlaskCelery, broker: Redis) -> None:
    batch = submit_many(celery_app, adds(300), then=COLLECT)
    done, running, *_ = task_ids(batch)
    store(celery_app, batch, done, "SUCCESS")
    store(celery_app, batch, running, "STARTED")

    celery_app.backend.batches.cancel(batch.batch_id)

    assert counts(celery_app, batch) == {"SUCCESS": 1, "STARTED": 1, "REVOKED": 298}
    assert celery_app.backend.cancel_requested(running)
    celery_app.backend.batches.cancel(batch.batch_id)  # said again it is the same
    store(celery_app, batch, running, "REVOKED")
    record = celery_app.backend.batches.get(batch.batch_id)
    assert (record.ready, thens(broker), submit_overdue(celery_app)) == (True, [], [])
    assert record.then is not None
    assert record.then.state is JobState.REVOKED


def test_a_job_that_is_run_again_is_not_of_the_batch(celery_app: FlaskCelery) -> None:
    batch = submit_many(celery_app, adds(1))
    [task_id] = task_ids(batch)
    store(celery_app, batch, task_id, "FAILURE")

    again = run_again(celery_app, task_id)

    assert celery_app.backend.records.get(again.task_id).batch_id is None
    assert counts(celery_app, batch) == {"FAILURE": 1}
