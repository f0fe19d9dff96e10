"""Of two runs of one job, the later one counts; and each retry of a job runs once, whatever dies in between."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from tests.conftest import Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks
from tests.delivery.test_leases import kill_all


def freeze(worker: Worker) -> list[psutil.Process]:
    """SIGSTOP the worker and its children."""
    parent = psutil.Process(worker.process.pid)
    processes = [parent, *parent.children(recursive=True)]
    for process in processes:
        process.suspend()
    return processes


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_a_frozen_worker_that_wakes_up_cannot_say_how_the_job_ended(
    pool: str,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    frozen_worker = counting_worker("--pool", pool, "--concurrency", "1")
    result = celery_app.send_task("test.work_until_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)
    frozen = freeze(frozen_worker)
    counting_worker("--pool", pool, "--concurrency", "1")
    wait_until(lambda: marks.starts("a") == 2, timeout=SHORT_TIMEOUT * 3 + 20)

    for process in frozen:
        process.resume()
    (tmp_path / "go 1").touch()
    wait_until(lambda: "run elsewhere by now" in frozen_worker.log or marks.ends("a") == 1)
    # It is alive and has said what it had to say: it answers, and takes the next job.
    assert celery_app.control.ping(destination=[frozen_worker.name], timeout=10, limit=1)
    assert AsyncResult(result.id, app=celery_app).state == "STARTED"
    (tmp_path / "go 2").touch()

    assert result.get(timeout=30) == 2
    wait_until(lambda: broker.hlen("unacked") == broker.hlen("taskgate-held") == 0)
    assert marks.starts("a") == 2


def test_a_run_that_was_overtaken_stops_at_its_next_progress_call(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, tmp_path: Path
) -> None:
    frozen_worker = counting_worker("--pool", "prefork", "--concurrency", "1")
    result = celery_app.send_task("test.progress_until_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)
    frozen = freeze(frozen_worker)
    counting_worker("--pool", "prefork", "--concurrency", "1")
    wait_until(lambda: marks.starts("a") == 2, timeout=SHORT_TIMEOUT * 3 + 20)

    for process in frozen:
        process.resume()

    wait_until(lambda: "run elsewhere by now" in frozen_worker.log)
    (tmp_path / "go 2").touch()
    assert result.get(timeout=30) == 2
    assert marks.ends("a") == 1


@pytest.mark.long
def test_a_worker_that_dies_right_after_publishing_a_retry_does_not_have_the_job_run_twice(
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    """The message of the run that asked for the retry was never acknowledged, so it comes back beside the retry."""
    counting_worker("--pool", "solo")
    result = celery_app.send_task("test.retry_and_die", ("a", str(tmp_path)))
    wait_until(lambda: marks.ends("a-died") == 1)

    other = counting_worker("--pool", "threads", "--concurrency", "2")
    wait_until(lambda: marks.starts("a") == 2)
    wait_until(lambda: "this delivery of it is skipped" in other.log or marks.starts("a") == 3, timeout=60)
    (tmp_path / "go 2").touch()

    assert result.get(timeout=60) == "retry 1"
    wait_until(lambda: broker.hlen("unacked") == broker.llen("default") == 0, what="an empty queue")
    assert marks.starts("a") == 2  # the first run and its retry


def test_a_retry_that_is_overtaken_is_not_published(
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    frozen_worker = counting_worker("--pool", "solo")
    result = celery_app.send_task("test.retry_when_told", ("a", str(tmp_path)))
    wait_until(lambda: marks.starts("a") == 1)
    frozen = freeze(frozen_worker)
    counting_worker("--pool", "solo")
    wait_until(lambda: marks.starts("a") == 2, timeout=SHORT_TIMEOUT * 3 + 20)

    for process in frozen:
        process.resume()
    (tmp_path / "go 1").touch()
    wait_until(lambda: "run elsewhere by now" in frozen_worker.log)

    assert broker.zcard("taskgate-delayed") == 0
    (tmp_path / "go 2").touch()
    wait_until(lambda: broker.zcard("taskgate-delayed") == 1)
    wait_until(
        lambda: AsyncResult(result.id, app=celery_app).state == "RETRY", what="what is stored after the publish"
    )
    record = celery_app.backend.records.get(result.id)
    assert record.next_run_at is not None
    assert record.retries == 0


@pytest.mark.long
def test_killed_in_the_middle_of_everything_a_job_still_ends(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, tmp_path: Path
) -> None:
    result = celery_app.send_task("test.work_until_told", ("a", str(tmp_path)))
    for count in (1, 2, 3):
        worker = counting_worker("--pool", "solo")
        wait_until(lambda: marks.starts("a") == count, timeout=SHORT_TIMEOUT * 3 + 20)  # noqa: B023
        kill_all(worker)
    (tmp_path / "go 4").touch()
    last = counting_worker("--pool", "solo")

    assert result.get(timeout=60) == 4
    os.kill(last.process.pid, signal.SIGTERM)
    assert last.process.wait(30) == 0
