"""Workers that die, freeze and stop, and RabbitMQ that goes away, while jobs run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from celery import chain

from libs.flask_celery import JobState
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns
from tests.rabbitmq.broker_node import RabbitNode

pytestmark = pytest.mark.long

POOLS = ["prefork", "threads", "gevent"]

#: Seconds; RabbitMQ takes a connection for dead after two of them without a word.
HEARTBEAT = 2

#: What a worker logs when it finds its connection gone.
LOST = "Connection to broker lost"


@pytest.fixture
def start(quiet_runs: JobRuns) -> Iterator[Callable[..., Worker]]:
    """``start("prefork")`` starts a worker of one process or thread; all are stopped at the end."""
    workers: list[Worker] = []

    def start_one(pool: str = "prefork") -> Worker:
        workers.append(quiet_runs.installation.start_worker(*LOAD_PROBES, "--pool", pool, "--concurrency", "1"))
        return workers[-1]

    yield start_one
    for worker in workers:
        if worker.process.poll() is None:
            signal_all(worker, signal.SIGCONT)
        worker.stop()


def signal_all(worker: Worker, number: signal.Signals) -> None:
    """To the worker and its children at once, as their host would feel it."""
    parent = psutil.Process(worker.process.pid)
    for process in [parent, *parent.children(recursive=True)]:
        process.send_signal(number)


class LongJob:
    """One ``wait_long`` that is queued."""

    def __init__(self, runs: JobRuns, folder: Path) -> None:
        self._runs = runs
        self._folder = folder
        self.id: str = runs.publish("wait_long", str(folder)).id

    def say_go(self) -> None:
        (self._folder / "go").touch()

    def starts(self) -> list[bool]:
        """For each run that has begun, whether its message said that it was delivered before."""
        return [bool(note["redelivered"]) for note in self._runs.notes(self.id, 0) if "redelivered" in note]

    def ends(self) -> int:
        return sum("ended" in note for note in self._runs.notes(self.id, 0))

    def wait_for_starts(self, count: int) -> None:
        wait_until(lambda: len(self.starts()) >= count, timeout=60, what=f"{count} starts of {self.id}")


@pytest.fixture
def long_job(quiet_runs: JobRuns, tmp_path: Path) -> LongJob:
    return LongJob(quiet_runs, tmp_path)


@pytest.mark.parametrize("pool", POOLS)
def test_a_dead_workers_job_runs_again_at_once(
    pool: str, quiet_runs: JobRuns, start: Callable[..., Worker], long_job: LongJob
) -> None:
    doomed = start(pool)
    long_job.wait_for_starts(1)
    start(pool)

    signal_all(doomed, signal.SIGKILL)
    killed_at = time.monotonic()
    doomed.process.wait(10)

    long_job.wait_for_starts(2)
    print(f"\n{pool}: runs again {time.monotonic() - killed_at:.2f} s after the kill")
    assert time.monotonic() - killed_at < 10
    long_job.say_go()
    record = quiet_runs.ended(long_job.id)
    assert (record.state, record.result) == (JobState.SUCCESS, "waited")
    assert (long_job.starts(), long_job.ends()) == ([False, True], 1)


def test_a_frozen_workers_job_runs_elsewhere(
    quiet_runs: JobRuns, start: Callable[..., Worker], long_job: LongJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ misses its heartbeats. When it wakes it stops what it ran, which is somebody else's by then."""
    monkeypatch.setitem(quiet_runs.installation.environment, "CELERY_BROKER_HEARTBEAT", str(HEARTBEAT))
    frozen = start()
    long_job.wait_for_starts(1)
    start()

    lost_before = frozen.log.count(LOST)
    signal_all(frozen, signal.SIGSTOP)
    frozen_at = time.monotonic()
    long_job.wait_for_starts(2)
    print(f"\nruns elsewhere {time.monotonic() - frozen_at:.2f} s after the freeze; heartbeat {HEARTBEAT} s")
    signal_all(frozen, signal.SIGCONT)
    wait_until(lambda: frozen.log.count(LOST) > lost_before, what="the frozen worker's notice of it")

    long_job.say_go()
    assert quiet_runs.ended(long_job.id, timeout=60).state is JobState.SUCCESS
    assert long_job.ends() == 1


def test_a_busy_worker_outlives_a_restart_of_rabbitmq(
    quiet_runs: JobRuns, start: Callable[..., Worker], rabbitmq: RabbitNode, long_job: LongJob
) -> None:
    """Its job is delivered again, and the first run is stopped rather than left to run beside the second."""
    worker = start()
    behind = quiet_runs.publish("answer", 1)
    long_job.wait_for_starts(1)

    rabbitmq.stop(kill=True)
    rabbitmq.start()

    long_job.wait_for_starts(2)
    long_job.say_go()
    assert quiet_runs.ended(long_job.id, timeout=60).state is JobState.SUCCESS
    assert quiet_runs.ended(behind.id, timeout=60).result == 1
    assert (long_job.starts(), long_job.ends()) == ([False, True], 1)
    assert worker.process.poll() is None
    assert quiet_runs.run("answer", 2).result == 2


def test_the_next_job_of_a_chain_is_published_when_rabbitmq_is_back(
    quiet_runs: JobRuns, start: Callable[..., Worker], rabbitmq: RabbitNode, tmp_path: Path
) -> None:
    """In a thread, which nothing can stop: the first one ends while RabbitMQ is away."""
    start("threads")
    tasks = quiet_runs.celery.tasks
    with quiet_runs.installation.app.app_context():
        last = chain(tasks["probe.wait_long"].s(str(tmp_path)), tasks["probe.answer"].s()).apply_async()
    quiet_runs.notes(last.parent.id)

    rabbitmq.stop(kill=True)
    (tmp_path / "go").touch()
    quiet_runs.notes(last.parent.id, 2)  # it has ended
    rabbitmq.start()

    assert quiet_runs.ended(last.parent.id, timeout=60).state is JobState.SUCCESS
    assert quiet_runs.ended(last.id, timeout=60).result == "waited"


def test_a_stopped_worker_finishes_what_it_runs_and_gives_back_the_rest(
    quiet_runs: JobRuns, start: Callable[..., Worker], rabbitmq: RabbitNode, tmp_path: Path
) -> None:
    """The delayed ones too, which it holds in its memory: the next worker gets them."""
    worker = start()
    delayed = quiet_runs.publish("answer", "later", countdown=10)
    wait_until(lambda: f"{delayed.id}] received" in worker.log, what="the delayed job at the worker")
    running = LongJob(quiet_runs, tmp_path)
    running.wait_for_starts(1)
    behind = [quiet_runs.publish("answer", n) for n in range(3)]
    assert rabbitmq.waiting() == len(behind)

    worker.process.send_signal(signal.SIGTERM)
    running.say_go()
    worker.process.wait(30)

    assert quiet_runs.record(running.id).state is JobState.SUCCESS
    assert rabbitmq.waiting() == 1 + len(behind)
    start()
    assert [quiet_runs.ended(job.id).result for job in behind] == [0, 1, 2]
    record = quiet_runs.ended(delayed.id)
    assert record.result == "later"
    assert record.started_at is not None
    assert record.submitted_at is not None
    assert (record.started_at - record.submitted_at).total_seconds() >= 9.9


def test_what_no_worker_can_run_harms_nobody(quiet_runs: JobRuns, rabbitmq: RabbitNode) -> None:
    """There is no quarantine: a job whose task the worker does not know has failed."""
    unknown = quiet_runs.publish("answer")
    rabbitmq.push(b"{", content_type="application/json", content_encoding="utf-8")
    rabbitmq.push(b"{}", content_type="application/json", content_encoding="utf-8")
    known = quiet_runs.celery.tasks["maintenance.adds"].delay(a=1, b=2)

    worker = quiet_runs.installation.start_worker("--pool", "solo")
    assert quiet_runs.ended(known.id).result == 3
    worker.stop()

    record = quiet_runs.record(unknown.id)
    assert record.failure is not None
    assert (record.state, record.failure.type) == (JobState.FAILURE, "NotRegistered")
    assert rabbitmq.waiting() == 0
