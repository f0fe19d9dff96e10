"""Cancelling jobs that wait, jobs that run and jobs that have ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libs.flask_celery import FinalJobError, JobState
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API


@pytest.fixture(scope="module")
def quiet_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """An installation whose worker each test starts."""
    with job_runs(tmp_path_factory.mktemp("cancel")) as runs:
        yield runs


def test_a_queued_job_that_was_cancelled_never_runs(quiet_runs: JobRuns) -> None:
    """Also when its result is ignored, where Celery itself would report no start."""
    cancelled = [quiet_runs.publish("tell", by="ann", ignore_result=ignored).id for ignored in (False, True)]
    for task_id in cancelled:
        assert quiet_runs.celery.backend.records.cancel(task_id) is JobState.REVOKED

    for _ in range(2):  # the second worker is the one after a restart
        after_them = quiet_runs.publish("answer", 1)
        worker = start_probe_worker(quiet_runs, "--pool", "solo")
        assert quiet_runs.ended(after_them.id).result == 1
        worker.stop()

    for task_id in cancelled:
        record = quiet_runs.record(task_id)
        assert record.failure is not None
        assert (record.state, record.owner, record.failure.type) == (JobState.REVOKED, "ann", "TaskRevokedError")
        assert quiet_runs.noted(task_id) == 0
        assert not quiet_runs.is_queued(task_id)


def test_a_running_job_stops_at_its_next_progress(runs: JobRuns) -> None:
    job = runs.publish("write_row", "cancelled while running", "until cancelled", by="ann")
    runs.wait_for_state(job.id, JobState.PROGRESS)

    assert runs.celery.backend.records.cancel(job.id) is JobState.PROGRESS

    record = runs.ended(job.id, timeout=3)
    assert (record.state, record.owner) == (JobState.REVOKED, "ann")
    assert record.progress is not None
    assert record.progress.message == "working"


def test_a_job_that_swallows_exceptions_stops_all_the_same(runs: JobRuns) -> None:
    job = runs.publish("write_row", "swallowing", "swallowing")
    runs.wait_for_state(job.id, JobState.PROGRESS)

    runs.celery.backend.records.cancel(job.id)

    assert runs.ended(job.id, timeout=3).state is JobState.REVOKED


def test_a_job_with_a_countdown_is_cancelled_at_once(runs: JobRuns) -> None:
    job = runs.publish("tell", countdown=3)

    assert runs.celery.backend.records.cancel(job.id) is JobState.REVOKED
    assert runs.run("answer", 1, countdown=3.5).result == 1  # its time has come and gone
    assert runs.record(job.id).state is JobState.REVOKED
    assert runs.noted(job.id) == 0


def test_a_job_that_was_asked_to_stop_does_not_wait_for_its_retry(runs: JobRuns) -> None:
    job = runs.publish("retry_when_told")
    runs.notes(job.id)
    assert runs.celery.backend.records.cancel(job.id) is JobState.STARTED

    runs.say_go(job.id)

    assert runs.ended(job.id, timeout=5).state is JobState.REVOKED


@pytest.mark.parametrize(("task", "state"), [("answer", JobState.SUCCESS), ("fail", JobState.FAILURE)])
def test_a_job_that_has_ended_cannot_be_cancelled(runs: JobRuns, task: str, state: JobState) -> None:
    record = runs.run(task)

    with pytest.raises(FinalJobError) as caught:
        runs.celery.backend.records.cancel(record.task_id)

    assert caught.value.state is state
    assert runs.record(record.task_id) == record


def test_a_running_job_can_ask_whether_it_was_cancelled(runs: JobRuns) -> None:
    job = runs.publish("ask_until_cancelled")
    runs.wait_for_state(job.id, JobState.STARTED)
    runs.notes(job.id)

    runs.celery.backend.records.cancel(job.id)

    # It ends by itself, with an answer: it was asked, not stopped.
    record = runs.ended(job.id, timeout=5)
    assert (record.state, record.result) == (JobState.SUCCESS, "stopped by itself")


def test_cancelling_over_http(runs: JobRuns) -> None:
    headers = runs.installation.headers("ann")
    client = runs.installation.client
    job = runs.publish("write_row", "over http", "until cancelled", by="ann")
    runs.wait_for_state(job.id, JobState.PROGRESS)

    assert client.delete(f"{API}/jobs/{job.id}", headers=headers).status_code == 202

    address = f"{API}/results/{job.id}"
    wait_until(lambda: client.get(address, headers=headers).json["ready"], what="the end")
    assert client.get(address, headers=headers).json["state"] == "REVOKED"
    assert client.delete(f"{API}/jobs/{job.id}", headers=headers).status_code == 409


def test_a_job_that_does_not_listen_is_ended_on_request(quiet_runs: JobRuns) -> None:
    """The request is there before the worker is, as when the worker was starting again just then."""
    stubborn = quiet_runs.publish("write_row", "stubborn", "hang", by="ann")
    other = quiet_runs.publish("wait")
    worker = start_probe_worker(quiet_runs, "--pool", "prefork", "--concurrency", "2")
    quiet_runs.wait_for_state(stubborn.id, JobState.STARTED)
    quiet_runs.notes(stubborn.id)

    asked = quiet_runs.celery.backend.records.cancel(stubborn.id, terminate=True)

    assert asked is JobState.STARTED
    record = quiet_runs.ended(stubborn.id, timeout=10)
    assert (record.state, record.owner) == (JobState.REVOKED, "ann")
    assert quiet_runs.rows("stubborn") == 0
    # The worker lives and has not touched its other job.
    quiet_runs.say_go(other.id)
    assert quiet_runs.ended(other.id).state is JobState.SUCCESS
    assert quiet_runs.run("answer", 1).result == 1
    assert not quiet_runs.is_queued(stubborn.id)
    assert quiet_runs.celery.backend.client.zcard("taskgate-terminate") == 0
    worker.stop()


def test_a_pool_that_cannot_end_a_job_says_so_and_the_job_stops_at_its_next_progress(quiet_runs: JobRuns) -> None:
    job = quiet_runs.publish("write_row", "in a thread", "until cancelled")
    worker = start_probe_worker(quiet_runs, "--pool", "threads", "--concurrency", "1")
    quiet_runs.wait_for_state(job.id, JobState.PROGRESS)

    quiet_runs.celery.backend.records.cancel(job.id, terminate=True)

    assert quiet_runs.ended(job.id, timeout=10).state is JobState.REVOKED
    worker.stop()
