"""What real jobs log, and what they tell of their progress, however they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from libs.flask_celery import JobProgress, JobState
from libs.flask_celery.history.history import JobHistory, LogLine
from libs.flask_celery.testing.running import wait_for_end
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    # None of this is about a disk that is slow to sync.
    with job_runs(tmp_path_factory.mktemp("logs"), CELERY_REDIS_SOCKET_TIMEOUT="10") as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2")
        yield runs


def history(runs: JobRuns) -> JobHistory:
    history: JobHistory = runs.celery.backend.history
    return history


def lines(runs: JobRuns, task_id: str) -> list[LogLine]:
    return list(history(runs).log(task_id, after=0, limit=10_000).lines)


def data_of_events(runs: JobRuns, task_id: str) -> list[Any]:
    return [event.data for event in history(runs).events(task_id, 0).events]


@pytest.mark.parametrize(
    ("outcome", "state", "tries"),
    [
        ("success", "SUCCESS", 1),
        ("failure", "FAILURE", 1),
        ("retry", "SUCCESS", 2),
        ("until cancelled", "REVOKED", 1),
    ],
)
def test_no_line_is_lost_however_the_job_ends(runs: JobRuns, outcome: str, state: str, tries: int) -> None:
    job = runs.publish("log_much", 300, outcome)
    if outcome == "until cancelled":
        runs.notes(job.id)
        runs.celery.backend.records.cancel(job.id)

    assert runs.ended(job.id).state is JobState(state)

    kept = lines(runs, job.id)
    expected = [
        message for run in range(tries) for message in [*(f"line {n}" for n in range(300)), f"last of try {run}"]
    ]
    assert [line.message for line in kept] == expected
    assert [line.number for line in kept] == list(range(1, len(expected) + 1))
    assert [(line.run, line.retries) for line in kept] == [(run + 1, run) for run in range(tries) for _ in range(301)]
    assert {line.level for line in kept} == {"debug", "info"}
    times = [line.at for line in kept]
    assert times == sorted(times)
    # All of it was said before the end was.
    assert data_of_events(runs, job.id)[-1].state is JobState(state)


def test_a_storm_of_lines_is_bounded_costs_few_commands_and_says_what_is_missing(runs: JobRuns) -> None:
    before = runs.celery.backend.client.info("commandstats")["cmdstat_evalsha"]["calls"]

    record = runs.run("log_much", 200_000)

    page = history(runs).log(record.task_id, after=0, limit=10_000)
    assert (page.last, len(page.lines), page.dropped) == (200_001, 1_000, 199_001)
    assert page.lines[-1].message == "last of try 0"
    calls = runs.celery.backend.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert calls < 500  # in some seconds; the worker's own among them


def test_the_last_word_of_several_is_passed_on_without_another_call(runs: JobRuns) -> None:
    job = runs.publish("say_two_things")

    def progress() -> JobProgress | None:
        record_of = runs.record(job.id)
        return record_of.progress

    wait_until(lambda: progress() == JobProgress(2, 3, ""), what="the last progress")
    wait_until(lambda: [line.message for line in lines(runs, job.id)] == ["word 1", "word 2"], what="the last line")
    assert runs.record(job.id).state is JobState.PROGRESS
    runs.say_go(job.id)
    assert runs.ended(job.id).state is JobState.SUCCESS


def test_a_million_progress_calls_cost_little_and_do_not_flood_redis(runs: JobRuns) -> None:
    record = runs.run("count_to_a_million")

    told = [data for data in data_of_events(runs, record.task_id) if isinstance(data, JobProgress)]
    print(f"\n1,000,000 progress calls took {record.result:.1f} s and were {len(told)} events")
    assert told[-1] == record.progress == JobProgress(1_000_000, 1_000_000, "")
    assert len(told) <= record.result * 10 + 2
    assert record.result < 60


def test_the_outcome_that_job_authors_wait_for_has_the_whole_log(runs: JobRuns) -> None:
    job = runs.publish("log_much", 3, "success")

    outcome = wait_for_end(runs.celery, job.id, timeout=30, still_worked_on=lambda: None)

    assert outcome.messages == ["line 0", "line 1", "line 2", "last of try 0"]
    assert [line.level for line in outcome.log] == ["debug", "debug", "debug", "info"]
