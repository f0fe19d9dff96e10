"""``@job(unique=…)``: who submits while a job is under way is answered with it, and only then."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import g
from kombu.serialization import dumps
from marshmallow import Schema

from libs.flask_celery import (
    AlreadyRunningError,
    IdempotencyConflictError,
    JobState,
    OccupiedTaskError,
    job,
    job_specs,
    remembered_job,
)
from libs.flask_celery.acceptance import under_terms
from libs.flask_celery.reconcile import Reconciliation
from tests.flask_celery.unique_presses import OWNER, PARAMS, TASK, claims, end, press, queued
from tests.functional.job_runs import JobRuns


def test_who_submits_while_a_job_is_under_way_is_answered_with_it_whatever_the_params(runs: JobRuns) -> None:
    first, again = press(runs, label="one"), press(runs, label="two")

    assert (first.already_running, first.replayed) == (False, False)
    assert again == replace(first, already_running=True)
    assert queued(runs) == 1
    assert [record.task_id for _, record in runs.celery.backend.records.newest("ann")] == [first.task_id]
    assert runs.celery.backend.client.hget("taskgate-unfinished-by-owner", "ann") == b"1"


@pytest.mark.parametrize("state", ["STARTED", "PROGRESS", "RETRY", "Loading", "LOADING_PAGE"])
def test_every_state_that_is_not_final_is_under_way(state: str, runs: JobRuns) -> None:
    first = press(runs)
    runs.celery.backend.store_state(first.task_id, {"page": 1}, state)

    again = press(runs)

    assert (again.task_id, again.already_running) == (first.task_id, True)


def cancelled(runs: JobRuns, task_id: str) -> None:
    assert runs.celery.backend.records.cancel(task_id) is JobState.REVOKED


def told_by_a_stock_worker(serializer: str) -> Callable[[JobRuns, str], None]:
    def tell(runs: JobRuns, task_id: str) -> None:
        backend = runs.celery.backend
        _, _, record = dumps({**runs.meta(task_id), "status": "FAILURE"}, serializer)
        backend.client.set(backend.keys.meta(task_id), record)

    return tell


def purged(runs: JobRuns, task_id: str) -> None:
    """``celery purge``, and then a worker's look."""
    with runs.celery.connection_for_write() as connection:
        assert connection.default_channel.queue_purge("default") == 1
        Reconciliation(runs.celery, grace=60).run(connection.default_channel)
    assert runs.state(task_id) is JobState.REVOKED


def deleted(*names: str) -> Callable[[JobRuns, str], None]:
    def delete(runs: JobRuns, task_id: str) -> None:
        assert runs.celery.backend.client.delete(*(f"{name}-{task_id}" for name in names)) == len(names)

    return delete


ENDS: dict[str, Callable[[JobRuns, str], object]] = {
    "success": end,
    "failure": lambda runs, task_id: end(runs, task_id, JobState.FAILURE),
    "revoked while it ran": lambda runs, task_id: end(runs, task_id, JobState.REVOKED),
    "cancelled in its queue": cancelled,
    "let go without an end (Ignore, Reject)": lambda runs, task_id: runs.celery.backend.count_out(task_id),
    "ended by a stock worker": told_by_a_stock_worker("json"),
    "ended by a stock worker, in msgpack": told_by_a_stock_worker("msgpack"),
    "ended by a stock worker, in YAML": told_by_a_stock_worker("yaml"),
    "purged": purged,
    "record deleted": deleted("celery-task-meta"),
    "ledger deleted": deleted("taskgate-job"),
    "all deleted": deleted("celery-task-meta", "taskgate-job", "taskgate-message"),
    "forgotten": lambda runs, task_id: runs.celery.AsyncResult(task_id).forget(),
    "withdrawn": lambda runs, task_id: runs.celery.backend.withdraw(task_id),
    "Redis emptied": lambda runs, _: runs.celery.backend.client.flushdb(),
}


@pytest.mark.parametrize("how", ENDS)
def test_however_a_job_ends_the_next_one_is_a_new_one(how: str, runs: JobRuns) -> None:
    first = press(runs)
    assert press(runs).already_running

    ENDS[how](runs, first.task_id)

    new = press(runs)
    assert (new.already_running, new.replayed, new.state) == (False, False, JobState.PENDING)
    assert new.task_id != first.task_id
    assert press(runs).task_id == new.task_id


def test_what_an_earlier_job_still_says_does_not_end_the_claim_of_the_next_one(runs: JobRuns) -> None:
    backend = runs.celery.backend
    first = press(runs)
    backend.count_out(first.task_id)
    new = press(runs)

    end(runs, first.task_id)

    assert press(runs).task_id == new.task_id
    assert list(claims(runs).values()) == [-1]


def test_at_once_makes_one(runs: JobRuns) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: press(runs, label=str(number)), range(40)))

    assert len({answer.task_id for answer in answers}) == 1
    assert sum(not answer.already_running for answer in answers) == 1
    assert queued(runs) == 1


def test_each_owner_has_one_of_their_own(runs: JobRuns) -> None:
    ann, bob = press(runs), press(runs, by="bob")

    assert (ann.already_running, bob.already_running) == (False, False)
    assert (press(runs).task_id, press(runs, by="bob").task_id) == (ann.task_id, bob.task_id)


def test_unique_by_params_compares_them_by_name(runs: JobRuns) -> None:
    task = runs.celery.tasks[PARAMS]
    one = press(runs, PARAMS, label="one")

    assert press(runs, PARAMS, label="one").task_id == one.task_id
    assert not press(runs, PARAMS, label="two").already_running
    assert not press(runs, PARAMS, label="one", by="bob").already_running
    with runs.installation.app.app_context():
        g.principal = "ann"
        for call in (lambda: task.delay("one"), lambda: task.delay(label="one")):
            with pytest.raises(AlreadyRunningError) as running:
                call()
            assert running.value.task_id == one.task_id
        when = datetime(2027, 1, 1, tzinfo=UTC)
        typed = task.delay(at=when, label="x")
        with pytest.raises(AlreadyRunningError, match=typed.id):
            task.delay("x", when)


def test_unique_by_task_is_one_for_all_and_tells_nobody_of_somebody_elses(runs: JobRuns) -> None:
    first = press(runs, TASK)

    assert press(runs, TASK).task_id == first.task_id
    with pytest.raises(OccupiedTaskError, match="somebody else") as occupied:
        press(runs, TASK, by="bob")
    assert first.task_id not in str(occupied.value)
    end(runs, first.task_id)
    assert not press(runs, TASK, by="bob").already_running


def test_an_idempotency_key_names_its_own_job_first(runs: JobRuns) -> None:
    first = press(runs, label="a", idempotency_key="k1")
    other = press(runs, label="b", idempotency_key="k2")
    same = press(runs, label="a", idempotency_key="k1")

    assert (other.task_id, other.already_running, other.replayed) == (first.task_id, True, False)
    assert (same.task_id, same.already_running, same.replayed) == (first.task_id, False, True)
    with pytest.raises(IdempotencyConflictError):
        press(runs, label="c", idempotency_key="k1")
    end(runs, first.task_id)
    assert press(runs, label="a", idempotency_key="k1").replayed
    fresh = press(runs, label="b", idempotency_key="k2")  # it was never a job's
    assert (fresh.already_running, fresh.replayed) == (False, False)


def test_the_job_under_way_is_the_answer_also_for_who_has_as_many_as_one_may(runs: JobRuns) -> None:
    first = press(runs)
    terms = replace(runs.celery.terms, owner_limit=1)
    with runs.installation.app.app_context(), under_terms(terms):
        g.principal = "ann"
        with pytest.raises(AlreadyRunningError, match=first.task_id):
            runs.celery.tasks[OWNER].delay()


def test_a_claim_is_known_for_as_long_as_the_result_and_other_jobs_have_none(runs: JobRuns) -> None:
    adds = press(runs)
    spec = job_specs(runs.celery)[OWNER]
    with runs.installation.app.app_context():
        runs.celery.tasks["maintenance.adds"].delay(1, 2)
    assert list(claims(runs).values()) == [-1]
    end(runs, adds.task_id)
    (left,) = claims(runs).values()
    result_left = runs.celery.backend.client.pttl(runs.celery.backend.keys.meta(adds.task_id))
    assert abs(left - result_left) < 1_000
    remembered = remembered_job(runs.celery, spec, "ann")
    assert (remembered and remembered.task_id, remembered and remembered.result) == (adds.task_id, "done")
    runs.installation.expire(adds.task_id)
    assert remembered_job(runs.celery, spec, "ann") is None
    assert remembered_job(runs.celery, spec, "bob") is None

    lost = press(runs)
    runs.celery.backend.count_out(lost.task_id)  # nobody will end it
    (left,) = claims(runs).values()
    assert 0 < left <= (runs.celery.backend.expires + runs.celery.backend.retention) * 1000


@pytest.mark.parametrize(
    ("options", "wants"), [({"unique": "host"}, "host"), ({"unique": "owner", "acks_late": False}, "acks_late")]
)
@pytest.mark.usefixtures("own_tasks")
def test_what_cannot_be_kept_is_refused_where_the_job_is_declared(options: dict[str, Any], wants: str) -> None:
    with pytest.raises(ValueError, match=wants):
        job("a.task", params=Schema, **options)(lambda: None)
