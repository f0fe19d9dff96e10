"""What Redis holds about jobs that real workers run."""

from __future__ import annotations

import threading

import pytest
from celery import chain, chord, group
from flask import g

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns

STOCK_FIELDS = {"status", "result", "traceback", "children", "date_done", "task_id"}


def test_stock_fields_stand_in_every_state_and_are_json(runs: JobRuns) -> None:
    job = runs.publish("wait", "a result", by="ann")

    runs.notes(job.id)
    runs.wait_for_state(job.id, JobState.STARTED)
    started = runs.meta(job.id)
    runs.say_go(job.id)
    runs.ended(job.id)
    ended = runs.meta(job.id)

    assert started.keys() >= STOCK_FIELDS
    assert (started["status"], started["date_done"], started["owner"]) == ("STARTED", None, "ann")
    assert started["result"].keys() == {"pid", "hostname"}
    assert ended.keys() >= STOCK_FIELDS
    assert (ended["status"], ended["result"], ended["children"]) == ("SUCCESS", "a result", [])
    assert (ended["task_id"], ended["traceback"]) == (job.id, None)
    assert ended["date_done"].endswith("+00:00")


def test_a_failure_names_its_exception_and_keeps_the_traceback(runs: JobRuns) -> None:
    record = runs.run("fail", by="ann")

    assert record.failure is not None
    assert (record.failure.type, record.failure.message) == ("ValueError", "told to fail")
    assert "told to fail" in (record.traceback or "")
    assert record.owner == "ann"


def test_a_retry_keeps_the_record(runs: JobRuns) -> None:
    job = runs.publish("tell", kwargs={"outcome": "retry"}, by="ann")
    submitted = runs.record(job.id).submitted_at

    record = runs.ended(job.id)

    assert (record.retries, record.owner, record.submitted_at) == (1, "ann", submitted)


def test_a_job_that_replaces_itself_keeps_its_record(runs: JobRuns) -> None:
    job = runs.publish("replace_itself", "the other's answer", by="ann", countdown=0.5)
    submitted = runs.record(job.id).submitted_at

    record = runs.ended(job.id)

    assert (record.result, record.owner, record.submitted_at) == ("the other's answer", "ann", submitted)


@pytest.mark.parametrize(("outcome", "state"), [("success", JobState.SUCCESS), ("failure", JobState.FAILURE)])
def test_the_end_of_an_ignored_job_is_on_record_without_its_value(
    runs: JobRuns, outcome: str, state: JobState
) -> None:
    record = runs.run("ignored", outcome)

    assert (record.state, record.result) == (state, None)


def test_an_ignored_job_whose_time_is_up_ends_as_a_failure(runs: JobRuns) -> None:
    record = runs.run("wait", time_limit=1, ignore_result=True)

    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "TimeLimitExceeded")


def test_an_expired_message_ends_as_revoked(runs: JobRuns) -> None:
    for ignored in (False, True):
        record = runs.run("answer", expires=-1, ignore_result=ignored)
        assert record.state is JobState.REVOKED


@pytest.mark.parametrize("ignored", [False, True])
def test_a_redelivered_job_that_is_final_does_not_run_again(runs: JobRuns, ignored: bool) -> None:
    """Also when its result is ignored, where Celery itself would report no start."""
    job = runs.publish("tell", kwargs={"outcome": "success"}, ignore_result=ignored)
    runs.ended(job.id)
    notes = runs.notes(job.id, 4)

    runs.publish("tell", kwargs={"outcome": "failure"}, task_id=job.id, ignore_result=ignored)
    wait_until(lambda: not runs.is_queued(job.id), what="the second delivery")

    assert runs.record(job.id).state is JobState.SUCCESS
    assert runs.notes(job.id, 4) == notes


def test_a_chain_is_on_record_link_by_link(runs: JobRuns) -> None:
    answer, wait, fail = (runs.celery.tasks[f"probe.{name}"] for name in ("answer", "wait", "fail"))

    last = chain(wait.s(1), answer.s()).apply_async()

    runs.notes(last.parent.id)
    assert runs.state(last.id) is None  # not published yet
    runs.say_go(last.parent.id)
    assert runs.celery.AsyncResult(last.id).get(timeout=20) == 1
    assert runs.ended(last.parent.id).state is JobState.SUCCESS
    failing = chain(fail.s(), answer.s()).apply_async()
    assert runs.ended(failing.parent.id).state is JobState.FAILURE
    assert runs.ended(failing.id).state is JobState.FAILURE


def test_what_fails_before_it_is_published_belongs_to_the_submitter(runs: JobRuns) -> None:
    """The rest of a chain and the body of a chord get their record from the job that failed."""
    answer, fail = runs.celery.tasks["probe.answer"], runs.celery.tasks["probe.fail"]
    with runs.installation.app.app_context():
        g.principal = "ann"
        rest_of_chain = chain(fail.s(), answer.s()).apply_async()
        body = chord([fail.s(), answer.s(1)])(answer.s())

    for task_id in (rest_of_chain.id, body.id):
        record = runs.ended(task_id)
        assert (record.state, record.owner) == (JobState.FAILURE, "ann")
        newest = [record.task_id for _, record in runs.celery.backend.records.newest("ann")]
        assert task_id in newest


def test_groups_chords_and_link_callbacks_are_on_record_and_can_be_awaited(runs: JobRuns) -> None:
    answer, add_up = runs.celery.tasks["probe.answer"], runs.celery.tasks["probe.add_up"]

    grouped = group(answer.s(number) for number in range(5)).apply_async()
    joined = chord([answer.s(number) for number in range(5)])(add_up.s())
    callback = answer.si("called back").set(task_id="a-link-callback")
    linked = answer.apply_async((1,), link=callback)

    assert grouped.get(timeout=20) == [0, 1, 2, 3, 4]
    assert joined.get(timeout=20) == 10
    assert linked.get(timeout=20) == 1
    for task_id in (*(part.id for part in grouped), joined.id, linked.id, "a-link-callback"):
        assert runs.ended(task_id).state is JobState.SUCCESS


def test_a_chord_ends_when_a_part_of_it_was_cancelled_in_its_queue(runs: JobRuns) -> None:
    answer, add_up = runs.celery.tasks["probe.answer"], runs.celery.tasks["probe.add_up"]

    body = chord([answer.s(1), answer.s(2).set(task_id="part-to-cancel", countdown=2)])(add_up.s())
    runs.celery.backend.records.cancel("part-to-cancel")

    record = runs.ended(body.id)
    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "ChordError")


def test_get_waits_on_demand_beyond_the_apis_socket_timeout(runs: JobRuns) -> None:
    job = runs.publish("wait", "awaited")
    runs.notes(job.id)
    timer = threading.Timer(1.5, runs.say_go, [job.id])
    timer.start()

    assert job.get(timeout=20) == "awaited"
    timer.join()
