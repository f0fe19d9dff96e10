"""Whichever way a job of a unique task is submitted, the one that is under way is the answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.schedules import crontab
from flask import g

from libs.flask_celery import (
    AlreadyRunningError,
    BatchItem,
    DeadLetters,
    FlaskCelery,
    InvalidParamsError,
    JobState,
    Schedule,
    Then,
    run_again,
    run_now,
    submit_many,
)
from libs.flask_celery.acceptance import FENCE_HEADER
from libs.flask_celery.publishing import is_regular
from libs.flask_celery.schedules.firing import submit_due
from libs.flask_celery.unique import claim_name
from tests.flask_celery.unique_presses import OWNER, PARAMS, TASK, claims, end, press, queued
from tests.functional.job_runs import JobRuns


def test_a_further_try_of_the_job_is_the_job(runs: JobRuns) -> None:
    """Also when another job has its claim by now."""
    first = press(runs)
    task = runs.celery.tasks[OWNER]
    facts = {"taskgate": {"submitted_at": 1, "owner": "ann"}, FENCE_HEADER: 0}
    request = SimpleNamespace(id=first.task_id, **facts)
    for others_claim in ("", press(runs, by="bob").task_id):
        if others_claim:
            claim = runs.celery.backend.keys.unique(claim_name("owner", OWNER, "ann"))
            runs.celery.backend.client.set(claim, others_claim)
        task.request_stack.push(request)
        try:
            task.apply_async(task_id=first.task_id, retries=1 if not others_claim else 2, headers=facts)
        finally:
            task.request_stack.pop()
    assert queued(runs) == 4  # with the one of somebody else


def test_python_code_is_told_by_an_error(runs: JobRuns) -> None:
    first = press(runs)
    task = runs.celery.tasks[OWNER]
    with runs.installation.app.app_context():
        g.principal = "ann"
        ways = (task.delay, task.apply_async, lambda: runs.celery.send_task(OWNER), task.si("x").delay)
        for publish in ways:
            with pytest.raises(AlreadyRunningError, match=first.task_id):
                publish()
    assert queued(runs) == 1


def test_a_batch_refers_to_the_job_under_way(runs: JobRuns) -> None:
    before = press(runs)
    items = [
        BatchItem(OWNER, {"label": "x"}),
        BatchItem(PARAMS),
        BatchItem(PARAMS),
        BatchItem("maintenance.adds", {"a": 1, "b": 2}),
    ]
    with runs.installation.app.app_context():
        g.principal = "ann"
        batch = submit_many(runs.celery, items, idempotency_key="press")
        again = submit_many(runs.celery, items, idempotency_key="press")

    outcomes = batch.outcomes
    assert [outcome.already_running for outcome in outcomes] == [True, False, True, False]
    assert (outcomes[0].task_id, outcomes[2].task_id) == (before.task_id, outcomes[1].task_id)
    assert (batch.accepted, again.outcomes) == (4, outcomes)
    record = runs.celery.backend.batches.get(batch.batch_id)
    assert record.counts[JobState.PENDING] == 2
    assert not is_regular(runs.celery, runs.celery.tasks[OWNER])


def test_what_is_refused_for_others_is_refused_in_a_batch(runs: JobRuns) -> None:
    press(runs, TASK, by="bob")
    with runs.installation.app.app_context():
        g.principal = "ann"
        batch = submit_many(runs.celery, [BatchItem(TASK), BatchItem(OWNER)])

    assert [outcome.refusal and outcome.refusal["type"] for outcome in batch.outcomes] == ["OccupiedTaskError", None]


def test_the_task_that_follows_a_batch_is_none_that_could_be_another_job(
    runs: JobRuns, celery_app: FlaskCelery
) -> None:
    with runs.installation.app.app_context(), pytest.raises(InvalidParamsError) as refused:
        submit_many(runs.celery, [BatchItem(PARAMS)], then=Then(OWNER))

    assert refused.value.messages == {"then": {"task": ["Is unique, so it cannot be `then`."]}}


def test_running_a_job_again_is_answered_with_the_job_under_way(runs: JobRuns) -> None:
    failed = press(runs, label="failed")
    end(runs, failed.task_id, JobState.FAILURE)
    running = press(runs, label="running")

    with runs.installation.app.app_context():
        g.principal = "root"  # an admin: it is its owner's job all the same
        again = run_again(runs.celery, failed.task_id)
        with pytest.raises(AlreadyRunningError):
            DeadLetters(runs.celery).retry(failed.task_id)
        assert (again.task_id, again.already_running) == (running.task_id, True)
        assert runs.record(failed.task_id).retried_as is None
        assert [letter.id for letter in DeadLetters(runs.celery).newest()] == [failed.task_id]

        end(runs, running.task_id)
        retried = DeadLetters(runs.celery).retry(failed.task_id)
    assert (retried.already_running, runs.record(retried.task_id).owner) == (False, "ann")
    assert press(runs).task_id == retried.task_id


def test_a_schedule_is_answered_with_the_job_under_way(runs: JobRuns) -> None:
    schedule = Schedule(id="s", task=OWNER, timing=crontab(), owner="ann")
    running = press(runs)

    assert submit_due(runs.celery, schedule, 1_000) == running.task_id
    now = run_now(runs.celery, schedule, by="ann")
    assert (now.task_id, now.already_running) == (running.task_id, True)
    end(runs, running.task_id)
    due = submit_due(runs.celery, schedule, 2_000)
    assert due != running.task_id
    assert submit_due(runs.celery, schedule, 2_000) == due
    assert press(runs).task_id == due


def test_the_record_of_another_broker_takes_the_claim_and_gives_it_back(
    runs: JobRuns, celery_app: FlaskCelery
) -> None:
    """As with RabbitMQ: the record first, and taken back when the publish fails."""
    backend, caught = runs.celery.backend, []
    with runs.installation.app.app_context():
        g.principal = "ann"
        for _ in range(2):
            caught.append(runs.celery.amqp.as_task_v2(f"id-{len(caught)}", OWNER, [], {}))

    def accept(number: int) -> bytes:
        message = {
            "headers": caught[number].headers,
            "properties": {},
            "body": "",
            "content-type": "",
            "content-encoding": "",
        }
        return backend.accept_job(message, "default")

    assert accept(0) == b"ACCEPTED"
    with pytest.raises(AlreadyRunningError, match="id-0"):
        accept(1)
    backend.withdraw("id-0")
    assert claims(runs) == {}
    assert accept(1) == b"ACCEPTED"
    with pytest.raises(AlreadyRunningError, match="id-1"):
        accept(0)  # published once more: it had been withdrawn
