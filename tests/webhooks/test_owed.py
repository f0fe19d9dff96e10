"""That a webhook is owed is stored in the step that ends the job, whatever ends it; and once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery import states
from celery.app.task import Context
from flask import Flask, g
from redis import Redis

from app.webhooks import delivery_id_of
from app.webhooks.delivery_log import DeliveryLog
from libs.flask_celery import (
    BatchItem,
    Cron,
    JobState,
    Schedule,
    SubmittedJob,
    Then,
    run_again,
    run_now,
    submit_many,
)
from libs.flask_celery.context import fill_g

URL = "https://example.com/x"
OTHER_URL = "https://example.org/y"
PARAMS = {"a": 1, "b": 2}


@pytest.fixture
def backend(app: Flask) -> Any:
    return app.extensions["celery"].backend


@pytest.fixture
def job(submit_for: Callable[..., SubmittedJob]) -> str:
    return submit_for("ann", URL).task_id


def owed(backend: Any, owner: str = "ann") -> list[str]:
    owners = {member.decode() for member in backend.client.smembers("taskgate-webhooks-due")}
    assert owners == ({owner} if backend.client.exists(f"taskgate-webhooks-due-{owner}") else set())
    return [member.decode() for member in backend.client.zrange(f"taskgate-webhooks-due-{owner}", 0, -1)]


def told_at(backend: Any, task_id: str) -> str | None:
    """Where the job's end will be told."""
    kept = backend.client.hget(backend.keys.ledger(task_id), "webhook")
    return None if kept is None else str(kept.decode())


@pytest.mark.parametrize("state", [states.SUCCESS, states.FAILURE, states.REVOKED])
def test_it_is_owed_with_each_end(state: str, job: str, backend: Any) -> None:
    for passing in (states.STARTED, "PROGRESS", states.RETRY):
        backend.store_result(job, None, passing)
        assert owed(backend) == []

    backend.store_result(job, ValueError("x") if state != states.SUCCESS else 3, state)

    assert owed(backend) == [job]


def test_it_is_owed_once_whatever_is_said_after_the_end(job: str, backend: Any, log: DeliveryLog) -> None:
    backend.store_result(job, 3, states.SUCCESS)
    assert [found for found, _ in log.claim(10)] == [delivery_id_of(job)]

    backend.store_result(job, 4, states.SUCCESS)
    backend.mark_as_revoked(job)
    backend.count_out(job)

    assert owed(backend) == []


def test_a_job_that_is_cancelled_in_its_queue(job: str, backend: Any) -> None:
    backend.records.cancel(job)

    assert owed(backend) == [job]


def test_a_job_that_a_stock_worker_has_ended_in_the_record_alone(job: str, backend: Any) -> None:
    meta = json.loads(backend.client.get(backend.keys.meta(job)))
    backend.client.set(backend.keys.meta(job), json.dumps({**meta, "status": "SUCCESS", "result": 3}))

    backend.count_out(job)  # as the reconciler does, which finds its message nowhere

    assert owed(backend) == [job]
    assert backend.client.hget(backend.keys.ledger(job), "state") == b"SUCCESS"


def test_a_job_that_nobody_ends_owes_nothing(job: str, backend: Any) -> None:
    request = Context(id=job, task="maintenance.adds", retries=0)
    backend.store_result(job, None, states.STARTED, request=request)

    backend.let_go(request)

    assert owed(backend) == []


def test_a_job_that_names_no_address_owes_nothing(submit_for: Callable[..., SubmittedJob], backend: Any) -> None:
    backend.store_result(submit_for("ann", None).task_id, 3, states.SUCCESS)

    assert owed(backend) == []


def test_nobodys_job_owes_nothing(submit_for: Callable[..., SubmittedJob], backend: Any) -> None:
    """A webhook is signed for its principal."""
    backend.store_result(submit_for("", URL).task_id, 3, states.SUCCESS)

    assert owed(backend, "") == []


def test_a_submission_that_was_taken_back_owes_nothing(job: str, backend: Any) -> None:
    backend.withdraw(job)
    backend.store_result(job, 3, states.SUCCESS)

    assert owed(backend) == []


def test_a_job_that_is_run_again_tells_there_too(app: Flask, job: str, backend: Any) -> None:
    backend.store_result(job, ValueError("x"), states.FAILURE)

    again = run_again(app.extensions["celery"], job).task_id
    backend.store_result(again, 3, states.SUCCESS)

    assert set(owed(backend)) == {job, again}


def test_a_job_that_is_run_again_tells_nobody_else(
    app: Flask, submit_for: Callable[..., SubmittedJob], backend: Any
) -> None:
    """An admin may run it again, with a key that has an address of its own."""
    job = submit_for("ann", None).task_id
    backend.store_result(job, ValueError("x"), states.FAILURE)

    with app.app_context():
        g.principal, g.webhook = "root", OTHER_URL
        again = run_again(app.extensions["celery"], job).task_id

    assert told_at(backend, again) is None


@pytest.mark.parametrize("url", [URL, None])
@pytest.mark.parametrize("options", [{}, {"priority": 1}], ids=["together", "one by one"])
def test_the_jobs_of_a_batch_and_its_then_tell_where_it_says(
    app: Flask, backend: Any, url: str | None, options: dict[str, Any]
) -> None:
    items = [BatchItem("maintenance.adds", {"a": 1, "b": number}, options=options) for number in range(2)]
    with app.app_context():
        g.principal, g.webhook = "ann", url
        batch = submit_many(app.extensions["celery"], items, then=Then("batches.collect"))
    ids = [outcome.task_id or "" for outcome in batch.outcomes]
    assert [told_at(backend, task_id) for task_id in ids] == [url, url]

    backend.store_result(ids[0], 3, states.SUCCESS)
    with app.app_context():  # whoever brings the last end about
        g.principal, g.webhook = "root", OTHER_URL
        backend.records.cancel(ids[1])

    assert batch.then is not None
    assert backend.state_of(batch.then.task_id) is JobState.PENDING
    assert told_at(backend, batch.then.task_id) == url
    assert set(owed(backend)) == (set(ids) if url else set())


def test_what_others_run_again_does_not_tell_them(
    app: Flask, submit_for: Callable[..., SubmittedJob], backend: Any
) -> None:
    job = submit_for("ann", None).task_id
    backend.store_result(job, 3, states.SUCCESS)
    with app.app_context():
        g.principal, g.webhook = "admin", URL
        celery_app = app.extensions["celery"]
        again = run_again(celery_app, job).task_id
        schedule = Schedule(id="", task="maintenance.adds", timing=Cron("0 3 * * *"), params=PARAMS, owner="ann")
        now = run_now(celery_app, schedule, by="admin").task_id
        assert (g.principal, g.webhook) == ("admin", URL)

    assert [backend.client.hget(backend.keys.ledger(found), "webhook") for found in (again, now)] == [None, None]


def test_the_address_is_in_the_ledger_alone(app: Flask, job: str, backend: Any) -> None:
    """Messages are in debug logs, and records are for who polls."""
    with Redis.from_url(f"{backend.as_uri().rpartition('/')[0]}/2") as broker:
        (message,) = [found for found in broker.lrange("default", 0, -1) if job.encode() in found]

    assert URL.encode() not in message
    for key in (backend.keys.meta(job), backend.keys.message(job)):
        assert URL.encode() not in backend.client.get(key)
    assert backend.client.hget(backend.keys.ledger(job), "webhook") == URL.encode()


def test_what_a_job_publishes_tells_nobody(app: Flask, backend: Any) -> None:
    request = Context(id="x", headers={}, taskgate={"submitted_at": 1, "owner": "ann"})
    with app.app_context():
        fill_g(request)
        published = app.extensions["celery"].tasks["maintenance.adds"].delay(a=1, b=2)

    assert backend.client.hget(backend.keys.ledger(published.id), "webhook") is None
