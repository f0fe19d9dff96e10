"""Transactional jobs whose worker is killed, frozen or too late: applied once, and answered as they were applied."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from app.extensions import db
from libs.flask_celery import JobState
from libs.flask_celery.records import JobProgress
from tests.conftest import Worker, wait_until
from tests.delivery.test_leases import kill_all
from tests.functional.job_runs import JobRuns, is_sqlite, job_runs, start_probe_worker
from tests.functional.typed_answer import TYPED

pytestmark = pytest.mark.long

POOLS = ["prefork", "threads", "gevent"]


@pytest.fixture
def start(transactional_runs: JobRuns) -> Iterator[Callable[..., Worker]]:
    """``start("prefork")`` starts a worker for this test alone, of one process, thread or greenlet."""
    workers: list[Worker] = []

    def start_one(pool: str = "prefork") -> Worker:
        workers.append(start_probe_worker(transactional_runs, "--pool", pool, "--concurrency", "1"))
        return workers[-1]

    yield start_one
    for worker in workers:
        send(worker, signal.SIGCONT)
        worker.stop()


def send(worker: Worker, number: int) -> None:
    """To the worker and its children."""
    if worker.process.poll() is None:
        parent = psutil.Process(worker.process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.send_signal(number)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("name", "count"), [("apply_once", 1), ("apply_each_time", 2)])
def test_a_worker_killed_between_commit_and_result(
    transactional_runs: JobRuns, start: Callable[..., Worker], pool: str, name: str, count: int
) -> None:
    runs = transactional_runs
    killed = start(pool)
    job = runs.publish(name, "worker dies")
    killed.process.wait(30)
    assert runs.effects(job.id) == [runs.notes(job.id)[0]["run"]]
    assert runs.state(job.id) is JobState.STARTED

    start(pool)

    record = runs.ended(job.id)
    assert record.state is JobState.SUCCESS
    assert len(runs.effects(job.id)) == runs.noted(job.id) == count
    assert record.result == runs.notes(job.id)[-1]["run"]


def test_the_run_that_comes_second_answers_as_the_first_that_could_not(
    transactional_runs: JobRuns, start: Callable[..., Worker]
) -> None:
    """Two at once: the first commits and is killed, so that the other alone can say what the first has done."""
    runs = transactional_runs
    first = start()
    job = runs.publish("apply_once", "wait, worker dies")
    runs.notes(job.id)
    start()
    runs.deliver_again(job.id)
    runs.notes(job.id, 2)
    runs.say_go(job.id)  # to the one that waits for longer
    first.process.wait(30)
    assert not runs.record(job.id).state.ready

    runs.say_go(job.id)

    record = runs.ended(job.id)
    assert record.state is JobState.SUCCESS
    assert runs.effects(job.id) == [record.result] == [runs.notes(job.id)[0]["run"]]


@pytest.mark.parametrize(("name", "count"), [("apply_once", 1), ("apply_each_time", 2)])
def test_a_child_process_killed_between_commit_and_result(
    transactional_runs: JobRuns, start: Callable[..., Worker], name: str, count: int
) -> None:
    start()

    record = transactional_runs.run(name, "child dies")

    assert record.state is JobState.SUCCESS
    assert len(transactional_runs.effects(record.task_id)) == transactional_runs.noted(record.task_id) == count
    assert record.result in transactional_runs.effects(record.task_id)


@pytest.mark.parametrize("options", [{"time_limit": 1}, {}], ids=["time limit", "no retries left"])
def test_a_process_ended_after_the_commit_is_no_failure(
    transactional_runs: JobRuns, start: Callable[..., Worker], options: dict[str, int]
) -> None:
    """Its parent knows nothing of the commit, and would say that the job has failed."""
    start()
    name, how = ("apply_once", "hangs") if options else ("apply_without_retries", "child dies")

    record = transactional_runs.run(name, how, **options)

    assert (record.state, record.retries) == (JobState.SUCCESS, 0)
    assert transactional_runs.effects(record.task_id) == [record.result]


@pytest.mark.parametrize("terminate", [False, True])
def test_a_job_that_is_cancelled_after_its_commit_has_succeeded(
    transactional_runs: JobRuns, start: Callable[..., Worker], terminate: bool
) -> None:
    """Its rows are there, so REVOKED would not be true."""
    worker = start()
    job = transactional_runs.publish("apply_once", "hangs")
    wait_until(lambda: transactional_runs.effects(job.id), what="the commit")

    transactional_runs.celery.backend.records.cancel(job.id, terminate=terminate)
    if not terminate:
        kill_all(worker)
        start()

    record = transactional_runs.ended(job.id)
    assert record.state is JobState.SUCCESS
    assert transactional_runs.effects(job.id) == [record.result]


def test_the_second_answer_is_the_first_one(
    transactional_runs: JobRuns, start: Callable[..., Worker], tmp_path: Path
) -> None:
    """Typed values, files and progress included, and without a second look at params that are valid no more."""
    start()
    folder = tmp_path / "gone after the first run"
    folder.mkdir()

    record = transactional_runs.run("attach_once", str(folder))

    (run,) = transactional_runs.effects(record.task_id)
    assert record.state is JobState.SUCCESS
    assert transactional_runs.celery.AsyncResult(record.task_id).result == {"run": run, **TYPED, "pair": [1, 2]}
    assert record.progress == JobProgress(3, 3, "attached")
    (file,) = record.files
    assert (file.name, file.size, file.content_type) == ("answer.txt", len(run), "text/plain")


def test_a_frozen_worker_that_wakes_up_applies_nothing_twice(
    transactional_runs: JobRuns, start: Callable[..., Worker]
) -> None:
    runs = transactional_runs
    frozen = start()
    job = runs.publish("apply_once", "wait")
    runs.notes(job.id)
    send(frozen, signal.SIGSTOP)
    other = start()
    runs.notes(job.id, 2)
    for _ in range(2):
        runs.say_go(job.id)
    record = runs.ended(job.id)

    send(frozen, signal.SIGCONT)

    frozen.stop()
    other.stop()
    assert (record.state, runs.noted(job.id)) == (JobState.SUCCESS, 2)
    assert runs.effects(job.id) == [record.result] == [runs.notes(job.id)[1]["run"]]
    assert runs.record(job.id) == record


def test_a_worker_frozen_with_sqlites_lock_is_waited_for(
    transactional_runs: JobRuns, start: Callable[..., Worker]
) -> None:
    runs = transactional_runs
    if not is_sqlite(runs):
        pytest.skip("SQLite has one writer at a time")
    frozen = start()
    job = runs.publish("apply_once", "write and wait")
    runs.notes(job.id, 2)
    send(frozen, signal.SIGSTOP)
    start()
    runs.wait_for_state(job.id, JobState.RETRY)

    runs.say_go(job.id)  # before it wakes up, lest it finds that it has waited for too long
    send(frozen, signal.SIGCONT)

    record = runs.ended(job.id, timeout=60)
    assert record.state is JobState.SUCCESS
    assert runs.effects(job.id) == [record.result] == [runs.notes(job.id)[0]["run"]]


def test_a_job_waits_for_a_database_that_is_away(transactional_runs: JobRuns, start: Callable[..., Worker]) -> None:
    """As long as nobody can know whether the job is completed, it neither runs nor fails."""
    runs = transactional_runs
    if is_sqlite(runs):
        pytest.skip("SQLite is a file")
    with runs.installation.app.app_context():
        url = db.engine.url
        db.session.remove()
        db.engine.dispose()
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

    def allow_connections(allowed: bool) -> None:
        with server.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS {allowed}"))

    start()
    allow_connections(False)
    try:
        job = runs.publish("apply_once")
        runs.wait_for_state(job.id, JobState.RETRY)
    finally:
        allow_connections(True)
        server.dispose()

    record = runs.ended(job.id)
    assert (record.state, runs.noted(job.id)) == (JobState.SUCCESS, 1)
    assert runs.effects(job.id) == [record.result]


def test_a_database_without_the_table_says_what_to_do(tmp_path: Path) -> None:
    with job_runs(tmp_path) as runs:
        with runs.installation.app.app_context():
            db.session.execute(text("DROP TABLE job_completions"))
            db.session.commit()
        start_probe_worker(runs, "--pool", "solo")

        record = runs.run("apply_once")

        assert record.failure is not None
        assert (record.failure.type, runs.noted(record.task_id)) == ("SettingError", 0)
        assert record.failure.message.endswith("has no table job_completions; run `manage.py db upgrade`")
        assert runs.run("apply_each_time").state is JobState.SUCCESS
