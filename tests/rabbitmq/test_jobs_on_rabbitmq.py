"""A job's life with RabbitMQ as the broker: submitted over HTTP, run by real workers, read from Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from celery import chain, chord, group

from libs.flask_celery import JobState
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs, start_probe_worker
from tests.installation import API
from tests.rabbitmq.broker_node import RabbitNode

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def runs(quiet_runs: JobRuns) -> JobRuns:
    """With one prefork worker of two processes; ``test_before_any_worker`` has to come first."""
    quiet_runs.installation.start_worker(*LOAD_PROBES, "--pool", "prefork", "--concurrency", "2")
    return quiet_runs


@pytest.fixture(scope="module")
def api(quiet_runs: JobRuns) -> Iterator[httpx.Client]:
    server = quiet_runs.installation.start_api()
    with httpx.Client(base_url=server.url, headers=quiet_runs.installation.headers(), timeout=20) as client:
        yield client


def submit(api: httpx.Client) -> str:
    """As clients do: the API waits 0.4 s for a connection, which is little for the first one on a busy machine."""
    key = {"Idempotency-Key": str(uuid4())}
    for _ in range(10):
        response = api.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=key)
        if response.status_code != 503:
            break
        time.sleep(float(response.headers["Retry-After"]))
    assert response.status_code == 202, response.text
    return response.headers["Location"]


def test_before_any_worker(quiet_runs: JobRuns, api: httpx.Client, rabbitmq: RabbitNode) -> None:
    """What was submitted is PENDING, what was not is unknown, and what was cancelled never runs."""
    waiting = submit(api)
    cancelled = quiet_runs.publish("tell", by="ann")

    assert api.get(waiting).json()["state"] == "PENDING"
    assert api.get(f"{API}/results/00000000-0000-4000-8000-000000000000").status_code == 404
    assert api.delete(f"{API}/jobs/{cancelled.id}").status_code == 202
    assert api.get(f"{API}/results/{cancelled.id}").json()["state"] == "REVOKED"
    assert rabbitmq.waiting() == 2

    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    wait_until(lambda: api.get(waiting).json()["ready"], what="the result")
    after_it = quiet_runs.run("answer", 7)
    worker.stop()

    assert api.get(waiting).json()["result"] == 3
    assert after_it.result == 7
    assert quiet_runs.noted(cancelled.id) == 0
    assert quiet_runs.record(cancelled.id).state is JobState.REVOKED
    assert rabbitmq.waiting() == 0


def test_a_result_over_http(runs: JobRuns, api: httpx.Client) -> None:
    location = submit(api)

    wait_until(lambda: api.get(location).json()["ready"], what="the result")
    assert api.get(location).json()["result"] == 3


def test_a_running_job_stops_at_its_next_progress(runs: JobRuns, api: httpx.Client) -> None:
    job = runs.publish("write_row", "cancelled on RabbitMQ", "until cancelled", by="ann")
    runs.wait_for_state(job.id, JobState.PROGRESS)

    assert api.delete(f"{API}/jobs/{job.id}").status_code == 202

    assert runs.ended(job.id).state is JobState.REVOKED
    assert runs.rows("cancelled on RabbitMQ") == 0


def test_a_delayed_job_that_was_cancelled_never_runs(runs: JobRuns, api: httpx.Client) -> None:
    job = runs.publish("tell", by="ann", countdown=2)

    assert api.delete(f"{API}/jobs/{job.id}").status_code == 202
    assert api.get(f"{API}/results/{job.id}").json()["state"] == "REVOKED"

    assert runs.run("answer", 1, countdown=3).result == 1  # its time has come and gone
    assert runs.noted(job.id) == 0
    assert runs.record(job.id).state is JobState.REVOKED


def test_a_delayed_job_waits(runs: JobRuns) -> None:
    record = runs.run("answer", 1, countdown=3)

    assert record.state is JobState.SUCCESS
    assert record.started_at is not None
    assert record.submitted_at is not None
    assert (record.started_at - record.submitted_at).total_seconds() >= 2.9


@pytest.mark.parametrize(
    ("name", "args", "retries"), [("retry_by_options", (2,), 2), ("retry_with_countdown", (), 1)]
)
def test_retries_are_shown_and_end_in_success(name: str, args: tuple[int, ...], retries: int, runs: JobRuns) -> None:
    job = runs.publish(name, *args)

    runs.wait_for_state(job.id, JobState.RETRY)

    record = runs.ended(job.id, timeout=60)
    assert (record.state, record.result, record.retries) == (JobState.SUCCESS, retries, retries)
    assert [said["retries"] for said in runs.notes(job.id, retries + 1)] == list(range(retries + 1))


def test_retries_are_bounded(runs: JobRuns) -> None:
    record = runs.ended(runs.publish("retry_by_options", 9, retries=2).id)

    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "ConnectionError")
    assert len(runs.notes(record.task_id, 2)) == 2


def test_a_failed_job_says_why(runs: JobRuns, api: httpx.Client) -> None:
    job = runs.publish("fail", by="ann")
    runs.ended(job.id)

    body = api.get(f"{API}/results/{job.id}").json()
    assert (body["state"], body["error"]) == ("FAILURE", {"type": "ValueError", "message": "told to fail"})


def test_a_process_that_dies_is_a_run_that_is_retried(runs: JobRuns) -> None:
    record = runs.ended(runs.publish("tell", "die").id, timeout=60)

    assert (record.state, record.retries) == (JobState.SUCCESS, 1)


def test_chains_and_chords(runs: JobRuns) -> None:
    """Published from outside and from inside of a job; each part has a record."""
    tasks = runs.celery.tasks
    answer, add_up = tasks["probe.answer"], tasks["probe.add_up"]
    with runs.installation.app.app_context():
        chained = chain(answer.s(1), answer.s(), answer.s()).apply_async()
        joined = chord([answer.s(n) for n in range(5)])(add_up.s())
        grouped = group(answer.s(n) for n in range(3)).apply_async()

    assert runs.ended(chained.id).result == 1
    assert runs.ended(joined.id).result == 10
    assert [runs.ended(part.id).result for part in grouped] == [0, 1, 2]

    inside = runs.run("publish_canvas").result
    for task_id in inside.values():
        assert runs.ended(task_id).state is JobState.SUCCESS


def test_a_failed_part_fails_its_chord(runs: JobRuns) -> None:
    tasks = runs.celery.tasks
    with runs.installation.app.app_context():
        joined = chord([tasks["probe.answer"].s(1), tasks["probe.fail"].s()])(tasks["probe.add_up"].s())

    assert runs.ended(joined.id).state is JobState.FAILURE


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_other_pools(pool: str, rabbitmq: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> None:
    with job_runs(
        tmp_path_factory.mktemp(pool), BROKER_URL=rabbitmq.url, CELERY_TASK_DEFAULT_QUEUE=f"for-{pool}"
    ) as runs:
        worker: Worker = runs.installation.start_worker(*LOAD_PROBES, "--pool", pool, "--concurrency", "2")
        assert runs.run("answer", 7).result == 7
        assert runs.run("retry_with_countdown").result == 1
        assert runs.run("fail").state is JobState.FAILURE
        job = runs.publish("write_row", "cancelled", "until cancelled")
        runs.wait_for_state(job.id, JobState.PROGRESS)
        runs.celery.backend.records.cancel(job.id)
        assert runs.ended(job.id).state is JobState.REVOKED
        worker.stop()
