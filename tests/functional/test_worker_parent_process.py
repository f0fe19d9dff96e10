"""Hooks that Celery calls in a worker's parent process, because the child that ran the job is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libs.flask_celery import JobState
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """A worker of its own: its child processes are killed."""
    with job_runs(tmp_path_factory.mktemp("parent")) as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2")
        yield runs


def test_a_hard_time_limit_is_told_in_a_context_with_the_submitter(runs: JobRuns) -> None:
    job = runs.publish("tell", kwargs={"outcome": "hang"}, by="ann", time_limit=1)

    *before, on_failure, after_return = runs.notes(job.id, 4)

    assert [note["hook"] for note in before] == ["before_start", "run"]
    assert (on_failure["hook"], after_return["hook"]) == ("on_failure", "after_return")
    for note in (on_failure, after_return):
        assert note["pid"] != before[0]["pid"]
        assert (note["principal"], note["database"], note["request"]) == ("ann", 1, job.id)
    record = runs.ended(job.id)
    assert (record.state, record.owner, record.task) == (JobState.FAILURE, "ann", "probe.tell")
    assert record.failure is not None
    assert record.failure.type == "TimeLimitExceeded"
    assert record.started_at is not None


def test_a_killed_child_is_told_in_a_context_and_the_job_runs_again(runs: JobRuns) -> None:
    job = runs.publish("tell", kwargs={"outcome": "die"}, by="ann")

    record = runs.ended(job.id)
    notes = runs.notes(job.id, 7)

    # The second run may begin before the parent has told of the first one's end.
    (on_retry,) = [note for note in notes if note["hook"] == "on_retry"]
    assert sorted(note["hook"] for note in notes) == sorted(
        ["before_start", "run", "on_retry", "before_start", "run", "on_success", "after_return"]
    )
    assert on_retry["pid"] not in {note["pid"] for note in notes if note is not on_retry}
    assert {(note["principal"], note["request"]) for note in notes} == {("ann", job.id)}
    assert (record.state, record.owner, record.retries) == (JobState.SUCCESS, "ann", 1)


def test_a_child_that_is_killed_each_time_ends_as_a_failure_of_its_owner(runs: JobRuns) -> None:
    record = runs.run("die_always", by="ann")

    assert record.failure is not None
    assert (record.state, record.owner, record.failure.type) == (JobState.FAILURE, "ann", "WorkerLostError")


def test_errbacks_of_a_hard_time_limit_are_the_submitters(runs: JobRuns) -> None:
    task = runs.celery.tasks["probe.answer"]
    errback = task.s().set(task_id="errback-of-a-time-limit")

    job = runs.publish("tell", kwargs={"outcome": "hang"}, by="ann", time_limit=1, link_error=errback)

    assert runs.ended(job.id).state is JobState.FAILURE
    runs.wait_for_state("errback-of-a-time-limit", JobState.SUCCESS)
    assert runs.record("errback-of-a-time-limit").owner == "ann"
