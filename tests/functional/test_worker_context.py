"""One app context around a whole execution, in each of Celery's pools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import chain, chord
from flask import g
from sqlalchemy import text

from app.extensions import db
from libs.flask_celery import JobState
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API

HOOKS = {
    "success": ["before_start", "run", "on_success", "after_return"],
    "failure": ["before_start", "run", "on_failure", "after_return"],
    "retry": ["before_start", "run", "on_retry"],
}


#: One process or thread, so that a job follows the one before it; greenlets are new for each job anyway, and a full
#: gevent pool looks for messages every two seconds only (celery/worker/loops.py, synloop).
POOLS = {"prefork": 1, "threads": 1, "solo": 1, "gevent": 8}


@pytest.fixture(scope="module", params=POOLS)
def pool_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp(request.param)) as runs:
        start_probe_worker(runs, "--pool", request.param, "--concurrency", str(POOLS[request.param]))
        yield runs


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_run_and_hooks_share_one_context(pool_runs: JobRuns, outcome: str) -> None:
    job = pool_runs.publish("tell", kwargs={"outcome": outcome}, by="ann")

    notes = pool_runs.notes(job.id, len(HOOKS[outcome]))
    assert [note["hook"] for note in notes] == HOOKS[outcome]
    assert len({note["context"] for note in notes}) == 1
    assert {(note["app"], note["database"], note["principal"], note["request"]) for note in notes} == {
        ("taskgate", 1, "ann", job.id)
    }


def test_a_retry_has_a_context_of_its_own_and_the_same_submitter(pool_runs: JobRuns) -> None:
    job = pool_runs.publish("tell", kwargs={"outcome": "retry"}, by="ann")

    # The retry is published before ``on_retry`` is called (celery/app/task.py, retry), and a greenlet may be sooner.
    notes = sorted(
        pool_runs.notes(job.id, len(HOOKS["retry"]) + len(HOOKS["success"])), key=lambda note: note["retries"]
    )
    assert [note["hook"] for note in notes] == HOOKS["retry"] + HOOKS["success"]
    assert [note["retries"] for note in notes] == [0, 0, 0, 1, 1, 1, 1]
    first, second = {note["context"] for note in notes[:3]}, {note["context"] for note in notes[3:]}
    assert (len(first), len(second), first & second) == (1, 1, set())
    assert {note["principal"] for note in notes} == {"ann"}
    record = pool_runs.ended(job.id)
    assert (record.state, record.owner, record.retries) == (JobState.SUCCESS, "ann", 1)


def test_an_http_clients_facts_reach_the_job_and_the_jobs_it_publishes(pool_runs: JobRuns) -> None:
    installation = pool_runs.installation
    headers = {**installation.headers("zoe"), "Accept-Language": "zh", "X-Request-ID": "request-7"}

    submitted = installation.client.post(
        f"{API}/tasks/probe.tell/jobs", json={"outcome": "retry", "then": ["success"]}, headers=headers
    )

    parent = submitted.json["task_id"]
    (child,) = pool_runs.ended(parent).result
    for task_id, count in ((parent, 7), (child, 4)):
        notes = pool_runs.notes(task_id, count)
        assert {(note["principal"], note["request_id"], note["locale"]) for note in notes} == {
            ("zoe", "request-7", "zh")
        }
        assert pool_runs.ended(task_id).owner == "zoe"


def test_canvas_made_inside_of_a_job_is_its_submitters(pool_runs: JobRuns) -> None:
    published = pool_runs.run("publish_canvas", by="zoe").result

    for task_id in published.values():
        assert pool_runs.ended(task_id).state is JobState.SUCCESS
        assert pool_runs.record(task_id).owner == "zoe"
        assert {note["principal"] for note in pool_runs.notes(task_id, 3)} == {"zoe"}


def test_a_chain_and_a_chord_keep_their_submitter_to_the_end(pool_runs: JobRuns) -> None:
    tasks = pool_runs.celery.tasks
    tell, again = tasks["probe.tell"], tasks["probe.tell_again"]

    with pool_runs.installation.app.test_request_context(headers={"X-Request-ID": "request-8"}):
        pool_runs.installation.app.preprocess_request()
        g.principal = "ann"
        chained = chain(tell.s(), again.s(), again.s()).apply_async()
        joined = chord([tell.s(), tell.s()])(again.s())

    for task_id in (chained.id, joined.id):
        pool_runs.wait_for_state(task_id, JobState.SUCCESS)
        notes = pool_runs.notes(task_id, 2)
        assert {(note["principal"], note["request_id"]) for note in notes} == {("ann", "request-8")}


@pytest.mark.parametrize("how", ["success", "failure", "open context"])
def test_nothing_leaks_to_the_next_job_of_the_same_worker(pool_runs: JobRuns, how: str) -> None:
    """The row is kept when the job succeeds and only then, so it is counted before and after."""
    before = pool_runs.run("look_around").result
    pool_runs.run("leave_behind", how)

    after = pool_runs.run("look_around").result

    assert (after["g"], after["session"], after["cancelled"]) == ([], [], False)
    assert after["sessions"] == before["sessions"] == 1
    assert after["pid"] == before["pid"]
    assert after["rows"] == (0 if how == "failure" else 1)
    with pool_runs.installation.app.app_context():
        db.session.execute(text("DELETE FROM probe_rows"))
        db.session.commit()


def test_a_cancelled_job_does_not_cancel_the_next_one(pool_runs: JobRuns) -> None:
    cancelled = pool_runs.publish("write_row", "never", "until cancelled")
    pool_runs.wait_for_state(cancelled.id, JobState.PROGRESS)
    pool_runs.celery.backend.records.cancel(cancelled.id)

    assert pool_runs.ended(cancelled.id).state is JobState.REVOKED
    next_one = pool_runs.run("look_around")
    assert (next_one.state, next_one.result["cancelled"]) == (JobState.SUCCESS, False)
