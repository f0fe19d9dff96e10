"""A worker that is told to stop: short jobs finish, long ones are requeued at the limit, nothing waits on it."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from celery import Celery
from redis import Redis

from libs.flask_celery import JobState
from tests.conftest import RedisServer, Worker, wait_until
from tests.delivery.conftest import Marks

pytestmark = pytest.mark.long

POOLS = ["prefork", "threads", "solo", "gevent"]

#: Seconds; short, so that the tests are.
LIMIT = 3.0

#: What a stop may take beyond the limit on a busy machine; the worker itself allows for two seconds.
GRACE = 4.0


@pytest.fixture
def stoppable(environment: dict[str, str], counting_worker: Callable[..., Worker]) -> Callable[..., Worker]:
    """Starts a worker with a soft limit of :data:`LIMIT`; its leases outlast every test of this module."""

    def start(*options: str, limit: float = LIMIT) -> Worker:
        environment["CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT"] = str(limit)
        environment["CELERY_BROKER_TRANSPORT_OPTIONS"] = '{"visibility_timeout": 600}'
        return counting_worker(*options)

    return start


def told_to_stop(worker: Worker, number: int = signal.SIGTERM) -> Callable[[], float]:
    """Send the signal; the answer, when called, waits for the end and says how many seconds it took."""
    started = time.monotonic()
    worker.process.send_signal(number)

    def seconds_until_gone() -> float:
        worker.process.wait(60)
        return time.monotonic() - started

    return seconds_until_gone


def held(broker: "Redis[bytes]") -> int:
    return broker.hlen("unacked")


@pytest.mark.parametrize("pool", POOLS)
def test_a_short_job_finishes_once_and_the_worker_is_gone_with_it(
    pool: str, stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1", limit=30)
    job = celery_app.send_task("test.work", ("a", 1.0))
    wait_until(lambda: marks.starts("a") == 1)

    took = told_to_stop(worker)()

    assert took < 10
    assert worker.process.returncode == 0
    assert celery_app.backend.records.get(job.id).state is JobState.SUCCESS
    assert (marks.starts("a"), marks.ends("a")) == (1, 1)
    assert (held(broker), broker.llen("default")) == (0, 0)


@pytest.mark.parametrize("pool", POOLS)
def test_a_long_job_is_requeued_at_the_limit_and_ends_on_another_worker(
    pool: str,
    stoppable: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1")
    job = celery_app.send_task("test.work_until", ("a", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("a") == 1)
    processes = psutil.Process(worker.process.pid).children(recursive=True)

    took = told_to_stop(worker)()

    assert LIMIT <= took < LIMIT + GRACE
    assert worker.process.returncode == 0
    # At once, not when a lease is over.
    assert (held(broker), broker.zcard("unacked_index"), broker.llen("default")) == (0, 0, 1)
    record = celery_app.backend.records.get(job.id)
    assert (record.state, record.retries) == (JobState.PENDING, 0)
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    (tmp_path / "go").touch()
    stoppable("--pool", pool, "--concurrency", "1")
    assert job.get(timeout=30) == "a"
    assert (marks.starts("a"), marks.ends("a")) == (2, 1)
    assert celery_app.backend.records.get(job.id).retries == 0


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_what_was_only_taken_is_given_back_at_once_in_its_order(
    pool: str,
    stoppable: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1", "--prefetch-multiplier", "4", limit=30)
    running = celery_app.send_task("test.work_until", ("running", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("running") == 1)
    waiting = [celery_app.send_task("test.work", (f"w{number}",)) for number in range(3)]
    # A gevent worker stands still over the first message that no greenlet is free for.
    taken = 2 if pool == "gevent" else 4
    wait_until(lambda: held(broker) == taken)

    gone = told_to_stop(worker)

    wait_until(lambda: (held(broker), broker.llen("default")) == (1, 3), timeout=10)
    assert worker.process.poll() is None
    queued = [json.loads(message)["headers"]["id"] for message in broker.lrange("default", 0, -1)]
    assert queued[::-1] == [job.id for job in waiting]
    (tmp_path / "go").touch()
    gone()
    assert celery_app.backend.records.get(running.id).state is JobState.SUCCESS
    assert [marks.starts(f"w{number}") for number in range(3)] == [0, 0, 0]
    assert (held(broker), broker.llen("default")) == (0, 3)


@pytest.mark.parametrize("pool", POOLS)
def test_an_idle_worker_does_not_wait_for_the_limit(pool: str, stoppable: Callable[..., Worker]) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1", limit=30)

    took = told_to_stop(worker)()

    assert took < 6
    assert worker.process.returncode == 0


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_requeues_without_waiting(
    pool: str,
    second: int,
    stoppable: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1", limit=60)
    job = celery_app.send_task("test.work", ("a", 120.0))
    wait_until(lambda: marks.starts("a") == 1)
    told_to_stop(worker)
    wait_until(lambda: "jobs have 60 s to end" in worker.log)

    took = told_to_stop(worker, second)()

    assert took < GRACE + 2
    assert celery_app.backend.records.get(job.id).state is JobState.PENDING
    assert (held(broker), broker.llen("default")) == (0, 1)


def test_ctrl_c_waits_as_long_as_it_takes_and_the_second_one_up_to_the_limit(
    stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    worker = stoppable("--pool", "threads", "--concurrency", "1", limit=1)
    celery_app.send_task("test.work", ("a", 120.0))
    wait_until(lambda: marks.starts("a") == 1)
    told_to_stop(worker, signal.SIGINT)
    wait_until(lambda: "stops when its jobs have ended" in worker.log)
    with pytest.raises(Exception, match="timed out"):
        worker.process.wait(3)

    took = told_to_stop(worker, signal.SIGINT)()

    assert 1 <= took < 1 + GRACE
    assert (held(broker), broker.llen("default")) == (0, 1)


def test_without_a_limit_sigterm_waits_and_sigquit_does_not(
    stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    worker = stoppable("--pool", "threads", "--concurrency", "1", limit=0)
    celery_app.send_task("test.work", ("a", 120.0))
    wait_until(lambda: marks.starts("a") == 1)
    for _ in range(2):
        told_to_stop(worker)
    with pytest.raises(Exception, match="timed out"):
        worker.process.wait(3)

    took = told_to_stop(worker, signal.SIGQUIT)()

    assert took < GRACE
    assert (held(broker), broker.llen("default")) == (0, 1)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_job_outlives_repeated_restarts_without_a_retry(
    pool: str,
    stoppable: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    job = celery_app.send_task("test.work_until", ("a", str(tmp_path / "go")))
    for times in range(1, 4):
        worker = stoppable("--pool", pool, "--concurrency", "1", limit=0.2)
        wait_until(lambda: marks.starts("a") == times)  # noqa: B023
        told_to_stop(worker)()
        assert (held(broker), broker.llen("default")) == (0, 1)

    (tmp_path / "go").touch()
    stoppable("--pool", pool, "--concurrency", "1")

    assert job.get(timeout=30) == "a"
    assert celery_app.backend.records.get(job.id).retries == 0
    assert (marks.starts("a"), marks.ends("a")) == (4, 1)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_job_that_was_acknowledged_early_fails_instead_of_waiting_for_ever(
    pool: str, stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    worker = stoppable("--pool", pool, "--concurrency", "1", limit=0.5)
    job = celery_app.send_task("test.work_acknowledged_early", ("a", 120.0))
    wait_until(lambda: marks.starts("a") == 1)

    told_to_stop(worker)()

    record = celery_app.backend.records.get(job.id)
    assert record.state is JobState.FAILURE
    assert record.failure is not None
    assert "worker was stopped" in record.failure.message
    assert (held(broker), broker.llen("default")) == (0, 0)


def test_a_solo_worker_stops_while_its_job_is_in_foreign_code(
    stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    """Where no handler of Python's runs, since the main thread does not come back to the interpreter."""
    worker = stoppable("--pool", "solo", limit=1)
    celery_app.send_task("test.work_in_foreign_code", ("a", 60))
    wait_until(lambda: marks.starts("a") == 1)

    took = told_to_stop(worker)()

    assert took < 1 + GRACE + 2
    assert (held(broker), broker.llen("default")) == (0, 1)


def test_a_silent_redis_does_not_keep_the_worker(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, redis_server: RedisServer
) -> None:
    """Then nothing can be given back, and the leases do it."""
    worker = counting_worker("--pool", "threads", "--concurrency", "1")
    job = celery_app.send_task("test.work", ("a", 5.0))
    wait_until(lambda: marks.starts("a") == 1)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        told_to_stop(worker)
        took = told_to_stop(worker, signal.SIGQUIT)()
    finally:
        redis_server.process.send_signal(signal.SIGCONT)

    assert took < GRACE
    counting_worker("--pool", "threads", "--concurrency", "1")
    assert job.get(timeout=30) == "a"


def test_a_group_that_is_told_as_a_whole_gives_back_what_its_children_ran(
    stoppable: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    """As systemd does by default, and a terminal with SIGQUIT: a prefork pool's children end at once."""
    worker = stoppable("--pool", "prefork", "--concurrency", "2", limit=5)
    job = celery_app.send_task("test.work", ("a", 120.0))
    wait_until(lambda: marks.starts("a") == 1)
    children = psutil.Process(worker.process.pid).children()

    gone = told_to_stop(worker)
    for child in children:
        child.terminate()
    took = gone()

    assert took < 5 + GRACE
    assert (held(broker), broker.llen("default")) == (0, 1)
    record = celery_app.backend.records.get(job.id)
    assert (record.state, record.retries) == (JobState.PENDING, 0)
