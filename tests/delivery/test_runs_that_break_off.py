"""A run whose process is lost, or whose retry finds Redis away, is run again soon; one that goes on is not."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from celery import Celery

from tests.conftest import RedisServer, Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks


def test_a_job_whose_process_was_killed_starts_again_soon_ahead_of_what_is_queued(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, tmp_path: Path
) -> None:
    worker = counting_worker("--pool", "prefork", "--concurrency", "1")
    result = celery_app.send_task("test.work_until_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)
    for _ in range(300):
        celery_app.send_task("test.work", ("behind", 0.05))

    for child in psutil.Process(worker.process.pid).children(recursive=True):
        child.kill()

    wait_until(lambda: marks.starts("a") == 2, timeout=60, what="the second start")
    assert marks.starts("behind") < 200
    (tmp_path / "go 2").touch()
    assert result.get(timeout=30) == 2
    assert celery_app.tasks["test.work_until_told"].default_retry_delay == 180  # a job's own retries wait as before


def test_a_job_that_asks_for_a_retry_while_redis_is_away_gets_it(
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    counting_worker("--pool", "threads", "--concurrency", "1")
    result = celery_app.send_task("test.retry_at_once_when_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)
    redis_server.stop(kill=True)

    (tmp_path / "go 1").touch()
    time.sleep(4)  # nothing tells that it is trying; Celery's own attempts are over within a second
    redis_server.start()

    assert result.get(timeout=60) == 2


@pytest.mark.long
def test_a_job_that_runs_while_redis_is_away_for_longer_than_its_lease_is_not_run_again(
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    """No worker could renew a lease meanwhile, so at first nobody can know whose worker is dead."""
    for _ in range(3):
        counting_worker("--pool", "threads", "--concurrency", "1")
    result = celery_app.send_task("test.work_until_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)

    redis_server.stop(kill=True)
    time.sleep(SHORT_TIMEOUT * 1.5)
    redis_server.start()

    # The others look for leases that are over several times in this while.
    time.sleep(SHORT_TIMEOUT * 3)
    assert marks.starts("a") == 1
    (tmp_path / "go 1").touch()
    assert result.get(timeout=30) == 1
