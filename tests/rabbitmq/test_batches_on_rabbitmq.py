"""A batch whose messages go to RabbitMQ: one by one, and with the same outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from flask import g

from libs.flask_celery import BatchItem, InterruptedBatchError, JobState, Then, submit_many
from libs.flask_celery.batches.filling import BatchFilling, PlacedItem
from libs.flask_celery.reconcile import publish_again
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, start_probe_worker
from tests.rabbitmq.broker_node import RabbitNode

pytestmark = pytest.mark.long

ADDS = "maintenance.adds"


def adds(count: int) -> list[BatchItem]:
    return [BatchItem(ADDS, {"a": number, "b": 1}) for number in range(count)]


def test_a_batch_runs_to_its_then(quiet_runs: JobRuns) -> None:
    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    with quiet_runs.installation.app.app_context():
        g.principal = "ann"
        items = [*adds(20), BatchItem("no.such")]
        batch = submit_many(quiet_runs.celery, items, then=Then("batchprobe.over"), idempotency_key="k")
        again = submit_many(quiet_runs.celery, items, then=Then("batchprobe.over"), idempotency_key="k")

    assert (batch.accepted, again.replayed, again.outcomes) == (20, True, batch.outcomes)
    assert batch.then is not None
    assert quiet_runs.ended(batch.then.task_id, timeout=60).result == {"SUCCESS": 20}
    assert len(quiet_runs.notes(f"then-{batch.batch_id}")) == 1
    assert not quiet_runs.celery.backend.client.exists(quiet_runs.celery.backend.keys.batches_due)
    assert not quiet_runs.celery.backend.client.exists(quiet_runs.celery.backend.keys.unpublished)
    worker.stop()


class Killed(BaseException):
    """As SIGKILL: nothing is caught and nothing tidied up."""


def test_what_a_killed_process_has_not_published_is_published_by_others(
    quiet_runs: JobRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = quiet_runs.celery.backend
    accept = backend.accept_job

    def accept_and_die(message: Any, queue: str) -> bytes:
        accept(message, queue)
        raise Killed

    items = [BatchItem(ADDS, {"a": 1, "b": 1}, options={"priority": 1})]
    with quiet_runs.installation.app.app_context():
        g.principal = "ann"
        with monkeypatch.context() as patch:
            patch.setattr(backend, "accept_job", accept_and_die)
            with pytest.raises(Killed):
                submit_many(quiet_runs.celery, items, then=Then("batchprobe.over"), idempotency_key="killed")
        batch = submit_many(quiet_runs.celery, items, then=Then("batchprobe.over"), idempotency_key="killed")
    [outcome] = batch.outcomes
    assert (backend.state_of(outcome.task_id), outcome.refusal) == (JobState.PENDING, None)

    assert publish_again(quiet_runs.celery, older_than=0) == [outcome.task_id]

    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    assert quiet_runs.ended(outcome.task_id, timeout=60).result == 2
    assert batch.then is not None
    assert quiet_runs.ended(batch.then.task_id, timeout=60).result == {"SUCCESS": 1}
    worker.stop()


def test_rabbitmq_going_away_half_way_is_told_and_finished_under_the_key(
    quiet_runs: JobRuns, rabbitmq: RabbitNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = BatchFilling.accept

    def accept_until(self: BatchFilling, items: Sequence[PlacedItem]) -> Iterator[Any]:
        for number, outcome in enumerate(accept(self, items), start=1):
            yield outcome
            if number == 5:
                rabbitmq.stop()

    with quiet_runs.installation.app.app_context():
        g.principal = "ann"
        with monkeypatch.context() as patch:
            patch.setattr(BatchFilling, "accept", accept_until)
            with pytest.raises(InterruptedBatchError) as caught:
                submit_many(quiet_runs.celery, adds(9), idempotency_key="away")
        rabbitmq.start()
        batch = submit_many(quiet_runs.celery, adds(9), idempotency_key="away")
    assert [outcome.refusal is None for outcome in caught.value.outcomes] == [True] * 5 + [False] * 4
    assert (batch.batch_id, batch.accepted) == (caught.value.batch_id, 9)
    assert rabbitmq.waiting() == 9
    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    batches = quiet_runs.celery.backend.batches
    wait_until(lambda: batches.get(batch.batch_id).ready, timeout=60, what="the batch")
    assert batches.get(batch.batch_id).counts[JobState.SUCCESS] == 9
    worker.stop()
