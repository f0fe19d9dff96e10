"""Three queues, a worker for each, and a rate limit that holds over all workers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from libs.flask_celery import JobState
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs

COLLECT = "for_task_collect"
COMPUTE = "for_task_compute"

#: Of the jobs with a limit, a second.
RATE = 10


class Workers:
    """Those of one queue each."""

    def __init__(self, runs: JobRuns, folder: Path) -> None:
        self._runs = runs
        self._folder = folder
        self.by_queue: dict[str, list[Worker]] = {}

    def start(self, *queues: str) -> list[Worker]:
        """Start a worker for each, all at once, and wait for them."""
        started = []
        for number, queue in enumerate(queues):
            log = self._folder / f"{queue}-{len(self.by_queue.get(queue, []))}-{number}.log"
            options = ("-Q", queue, "--pool", "prefork", "--concurrency", "2")
            started.append(Worker(self._runs.installation.environment, log, *LOAD_PROBES, *options))
            self.by_queue.setdefault(queue, []).append(started[-1])
        for worker in started:
            worker.wait_ready()
        return started

    def names(self, queue: str) -> set[str]:
        return {worker.name for worker in self.by_queue[queue]}

    def stop(self) -> None:
        running = [worker for workers in self.by_queue.values() for worker in workers]
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.process.wait(30)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    options = '{"visibility_timeout": 3, "unacked_restore_interval": 0.5}'
    with job_runs(tmp_path_factory.mktemp("queues"), CELERY_BROKER_TRANSPORT_OPTIONS=options) as runs:
        yield runs


@pytest.fixture(scope="module")
def workers(runs: JobRuns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """One for each of the other queues, and two for that of the jobs with a limit."""
    workers = Workers(runs, tmp_path_factory.mktemp("logs"))
    try:
        workers.start("default", COLLECT, COLLECT, COMPUTE)
        yield workers
    finally:
        workers.stop()


def starts(runs: JobRuns, label: str, count: int, timeout: float = 30) -> list[dict[str, Any]]:
    """The first that have begun, in order, once that is so many."""
    wait_until(lambda: runs.noted(label) >= count, timeout=timeout, what=f"{count} starts of {label}")
    return sorted(runs.notes(label, count), key=lambda note: note["at"])


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1 for time in times) for start in times)


def test_a_worker_takes_the_jobs_of_its_queue_alone(runs: JobRuns, workers: Workers) -> None:
    labels = {queue: uuid4().hex for queue in ("default", COLLECT, COMPUTE)}
    for _ in range(4):
        for queue, label in labels.items():
            runs.publish("unlimited", label, queue=queue)

    for queue, label in labels.items():
        assert {start["worker"] for start in starts(runs, label, 4)} <= workers.names(queue)


@pytest.fixture
def flood(runs: JobRuns, workers: Workers) -> Callable[[str, int], list[dict[str, Any]]]:
    """``flood("together", 30)`` submits so many jobs at once and answers when and where they have begun."""

    def submit(name: str, count: int) -> list[dict[str, Any]]:
        label = uuid4().hex
        ids = [runs.publish(name, label, queue=COLLECT).id for _ in range(count)]
        found = starts(runs, label, count)
        assert Counter(start["id"] for start in found) == Counter(ids)
        return found

    return submit


def test_a_global_limit_holds_over_two_workers_where_celerys_own_is_doubled(
    runs: JobRuns, workers: Workers, flood: Callable[[str, int], list[dict[str, Any]]]
) -> None:
    together = flood("together", 35)
    apart = flood("apart", 40)

    took = together[-1]["at"] - together[0]["at"]
    most = most_in_a_second([start["at"] for start in together])
    most_apart = most_in_a_second([start["at"] for start in apart])
    print(f"\ntogether: {most} in the busiest second, {34 / took:.1f}/s; apart: {most_apart} in the busiest second")
    # One more fits in a second at whose start and end one begins; another may have been slow to begin.
    assert most <= RATE + 2
    assert 34 / took > RATE * 0.7  # and as fast as it may
    assert most_apart > RATE * 1.5
    assert {start["worker"] for start in together} == workers.names(COLLECT)
    assert {start["retries"] for start in together} == {0}


def test_jobs_that_wait_for_their_turn_hold_nobody_up(runs: JobRuns, workers: Workers) -> None:
    waiting, other = uuid4().hex, uuid4().hex
    jobs = [runs.publish("together", waiting, queue=COLLECT).id for _ in range(30)]
    runs.publish("unlimited", other, queue=COLLECT)

    starts(runs, other, 1)

    assert runs.noted(waiting) < 25
    assert runs.record(jobs[-1]).state is JobState.PENDING
    assert runs.celery.backend.records.cancel(jobs[-1]) is JobState.REVOKED
    began = [start["id"] for start in starts(runs, waiting, 29)]
    # Four processes begin them, so that neighbours may change places.
    assert all(abs(began.index(job) - place) <= 8 for place, job in enumerate(jobs[:-1]))
    assert runs.noted(waiting) == 29


def test_workers_that_are_killed_lose_none_of_the_jobs_that_wait(runs: JobRuns, workers: Workers) -> None:
    label = uuid4().hex
    jobs = [runs.publish("together", label, queue=COLLECT).id for _ in range(30)]
    starts(runs, label, 5)

    for worker in workers.by_queue.pop(COLLECT):
        children = psutil.Process(worker.process.pid).children(recursive=True)
        for process in [worker.process, *children]:  # the worker first, which would replace them
            process.kill()
        worker.process.wait(10)
    at_the_kill = runs.noted(label)
    assert at_the_kill < 25
    workers.start(COLLECT)

    for job in jobs:
        assert runs.ended(job).state is JobState.SUCCESS
    assert {start["retries"] for start in runs.notes(label)} == {0}
    # What was with the workers may have begun twice, at most one for each process.
    assert 30 <= runs.noted(label) <= 34
