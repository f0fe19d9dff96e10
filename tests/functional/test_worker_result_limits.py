"""What a job says too much of is not stored, in any pool, and the job says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from libs.flask_celery import JobRecord, JobState
from libs.flask_celery.history.telling import LONGEST_LINE
from libs.flask_celery.result_limits import (
    FIELDS_LIMIT,
    LONGEST_ERROR,
    LONGEST_TRACEBACK,
    MOST_FILES,
)
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker

LIMIT = 20_000

POOLS = {
    "prefork": ("--pool", "prefork", "--concurrency", "1"),
    "threads": ("--pool", "threads", "--concurrency", "2"),
    "solo": ("--pool", "solo"),
    "gevent": ("--pool", "gevent", "--concurrency", "2"),
}


@pytest.fixture(scope="module", params=POOLS)
def small_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp(request.param), RESULT_LIMIT=str(LIMIT)) as runs:
        start_probe_worker(runs, *POOLS[request.param])
        yield runs


def stored(runs: JobRuns, record: JobRecord) -> dict[str, Any]:
    """The whole record, and nothing else in Redis that is larger."""
    client = runs.celery.backend.client
    assert max(client.memory_usage(key) for key in client.scan_iter("*")) < FIELDS_LIMIT
    return runs.meta(record.task_id)


def test_a_result_over_the_limit_is_a_failure_that_says_what_to_do(small_runs: JobRuns) -> None:
    fits = small_runs.run("return_at_length", LIMIT, "it fits")
    fails = small_runs.run("return_at_length", LIMIT + 1, "it does not")

    assert (fits.state, len(fits.result)) == (JobState.SUCCESS, LIMIT - 2)
    assert (fails.state, fails.result, fails.retries) == (JobState.FAILURE, None, 0)
    assert fails.failure is not None
    assert fails.failure.type == "ResultTooLargeError"
    assert f"{LIMIT + 1:,} bytes" in fails.failure.message
    assert "current_job.attach" in fails.failure.message
    assert len(str(stored(small_runs, fails))) < 10_000
    # It has failed, so that nothing of what it did is there.
    assert (small_runs.rows("it fits"), small_runs.rows("it does not")) == (1, 0)


def test_a_transactional_job_neither(small_runs: JobRuns) -> None:
    fails = small_runs.ended(
        small_runs.celery.tasks["probe.return_at_length_once"]
        .apply_async(kwargs={"size": LIMIT + 1, "row": "not once"})
        .id
    )

    assert fails.state is JobState.FAILURE
    assert fails.failure is not None
    assert fails.failure.type == "ResultTooLargeError"
    assert small_runs.rows("not once") == 0


def test_a_result_that_nobody_wants_may_be_large(small_runs: JobRuns) -> None:
    record = small_runs.run("return_ignored", LIMIT * 2)

    assert (record.state, record.result) == (JobState.SUCCESS, None)


def test_a_long_error_is_stored_with_its_beginning_and_its_end(small_runs: JobRuns) -> None:
    record = small_runs.run("fail_at_length", 3 * 1024**2)

    meta = stored(small_runs, record)
    assert record.failure is not None
    assert len(record.failure.message) <= LONGEST_ERROR + 10
    assert record.failure.message.startswith(("begin", "('begin", "['begin"))
    assert "characters left out" in record.failure.message
    assert len(meta["traceback"]) <= LONGEST_TRACEBACK
    assert meta["traceback"].startswith("Traceback")
    assert "fail_at_length" in meta["traceback"]


def test_a_long_word_about_progress_is_cut(small_runs: JobRuns) -> None:
    record = small_runs.run("say_at_length", 3 * 1024**2)

    stored(small_runs, record)
    assert record.state is JobState.SUCCESS
    assert record.progress is not None
    assert record.progress.message == "x" * (LONGEST_LINE - 1) + "…"


def test_a_large_state_of_its_own_fails_the_job(small_runs: JobRuns) -> None:
    record = small_runs.run("update_at_length", 3 * 1024**2)

    stored(small_runs, record)
    assert record.state is JobState.FAILURE
    assert record.failure is not None
    assert "too large to store" in record.failure.message


def test_a_job_leaves_so_many_files_and_no_more(small_runs: JobRuns) -> None:
    record = small_runs.run("attach_many", MOST_FILES + 1)

    assert record.state is JobState.FAILURE
    assert record.failure is not None
    assert record.failure.type == "TooManyFilesError"
    assert len(record.files) == MOST_FILES
