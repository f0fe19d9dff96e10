"""Batches whose workers are killed, whose jobs fail, and which are cancelled while they run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psutil
import pytest
from flask import g

from libs.flask_celery import BatchItem, BatchRecord, SubmittedBatch, Then, submit_many
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker

#: The probes of this file first, whose import patches nothing by itself.
SETTINGS = {"CELERY_BROKER_TRANSPORT_OPTIONS": '{"visibility_timeout": 3, "unacked_restore_interval": 0.5}'}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("batches"), CELERY_REDIS_SOCKET_TIMEOUT="10", **SETTINGS) as runs:
        yield runs


@pytest.fixture
def worker(runs: JobRuns) -> Iterator[Worker]:
    worker = start_probe_worker(runs, "--pool", "threads", "--concurrency", "4")
    yield worker
    worker.stop()


def submitted(runs: JobRuns, *params: dict[str, Any]) -> SubmittedBatch:
    with runs.installation.app.app_context():
        g.principal = "ann"
        items = [BatchItem("batchprobe.wait", some) for some in params]
        return submit_many(runs.celery, items, then=Then("batchprobe.over", {"name": "then"}))


def now(runs: JobRuns, batch: SubmittedBatch) -> BatchRecord:
    return runs.celery.backend.batches.get(batch.batch_id)  # type: ignore[no-any-return]


def then_is_run_once(runs: JobRuns, batch: SubmittedBatch) -> dict[str, Any]:
    """Returns: what it has found."""
    assert batch.then is not None
    runs.ended(batch.then.task_id, timeout=60)
    [found] = runs.notes(f"then-{batch.batch_id}")
    assert found["run"] == batch.then.task_id
    assert found["ready"]
    assert not runs.celery.backend.client.exists(runs.celery.backend.keys.batches_due)
    return found  # type: ignore[no-any-return]


def kill(worker: Worker) -> None:
    for process in [*psutil.Process(worker.process.pid).children(recursive=True), psutil.Process(worker.process.pid)]:
        process.send_signal(signal.SIGKILL)
    worker.process.wait(10)


def test_then_is_told_how_many_have_ended_how(runs: JobRuns, worker: Worker) -> None:
    name = uuid4().hex
    batch = submitted(runs, *[{"until": name, "outcome": outcome} for outcome in ("success", "failure", "success")])
    runs.notes(name, 3)
    assert not now(runs, batch).ready
    for _ in range(3):
        runs.say_go(name)

    found = then_is_run_once(runs, batch)

    assert found["counts"] == {"SUCCESS": 2, "FAILURE": 1}
    assert worker.process.poll() is None


def test_a_worker_killed_in_the_last_job(runs: JobRuns) -> None:
    first, last = uuid4().hex, uuid4().hex
    worker = start_probe_worker(runs, "--pool", "threads", "--concurrency", "4")
    batch = submitted(runs, {"until": first}, {"until": last})
    runs.notes(last, 1)
    runs.say_go(first)
    wait_until(lambda: now(runs, batch).counts["SUCCESS"] == 1, what="the first job's end")
    kill(worker)
    other = start_probe_worker(runs, "--pool", "threads", "--concurrency", "4")
    runs.notes(last, 2)  # it runs again
    assert not now(runs, batch).ready
    runs.say_go(last)

    found = then_is_run_once(runs, batch)

    assert found["counts"] == {"SUCCESS": 2}
    other.stop()


def test_a_worker_killed_between_the_last_end_and_then(runs: JobRuns) -> None:
    name = uuid4().hex
    worker = start_probe_worker(runs, "--pool", "solo")
    batch = submitted(runs, {"until": name, "outcome": "die before then"})
    runs.notes(name)
    runs.say_go(name)
    worker.process.wait(30)
    assert worker.process.returncode == -signal.SIGKILL
    assert now(runs, batch).ready
    assert batch.then is not None
    assert runs.state(batch.then.task_id) is None
    assert runs.celery.backend.client.zcard(runs.celery.backend.keys.batches_due) == 1

    other = start_probe_worker(runs, "--pool", "solo")

    assert then_is_run_once(runs, batch)["counts"] == {"SUCCESS": 1}
    # Neither has the job run again whose worker was killed after storing its end, nor does it.
    assert runs.noted(name) == 1
    other.stop()


def test_a_running_batch_is_cancelled(runs: JobRuns, worker: Worker) -> None:
    name = uuid4().hex
    batch = submitted(runs, *[{"until": name}] * 50)
    runs.notes(name, 4)

    runs.celery.backend.batches.cancel(batch.batch_id)

    record = now(runs, batch)
    running = 50 - sum(count for state, count in record.counts.items() if state.ready)
    assert 0 < running <= 8
    for _ in range(50):
        runs.say_go(name)  # those that run do not listen, and end
    wait_until(lambda: now(runs, batch).ready, what="the end of the batch")
    assert runs.noted(name) == running
    assert batch.then is not None
    assert runs.state(batch.then.task_id) is None
    assert not runs.noted(f"then-{batch.batch_id}")
    assert worker.process.poll() is None
