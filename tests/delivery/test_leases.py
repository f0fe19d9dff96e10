"""A dead worker's messages come back soon, a living one's never."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from celery import Celery
from redis import Redis

from tests.conftest import Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks

POOLS = ["prefork", "threads", "solo", "gevent"]


def kill_all(worker: Worker) -> None:
    """SIGKILL the worker and its children at once, as a power cut would."""
    parent = psutil.Process(worker.process.pid)
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()
    worker.process.wait(10)


@pytest.mark.parametrize("pool", POOLS)
def test_a_dead_workers_job_starts_again_elsewhere(
    pool: str, counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, tmp_path: Path
) -> None:
    doomed = counting_worker("--pool", pool, "--concurrency", "1")
    result = celery_app.send_task("test.work_until", ("a", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("a") == 1)

    kill_all(doomed)
    counting_worker("--pool", pool, "--concurrency", "1")

    wait_until(lambda: marks.starts("a") == 2, timeout=SHORT_TIMEOUT * 3 + 5)
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == "a"
    assert marks.ends("a") == 1


@pytest.mark.long
@pytest.mark.parametrize("pool", POOLS)
def test_a_long_job_is_not_run_twice_while_its_worker_lives(
    pool: str, counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    counting_worker("--pool", pool, "--concurrency", "1")
    result = celery_app.send_task("test.work", ("a", SHORT_TIMEOUT * 3.0))
    # Prefetched behind it, so held for as long.
    behind = celery_app.send_task("test.work", ("b",))
    wait_until(lambda: marks.starts("a") == 1)
    counting_worker("--pool", pool, "--concurrency", "1")

    assert [job.get(timeout=60) for job in (result, behind)] == ["a", "b"]

    assert [marks.starts(label) for label in "ab"] == [1, 1]
    wait_until(lambda: broker.hlen("unacked") == 0 == broker.zcard("unacked_index"))


def test_a_stopped_worker_gives_back_what_it_has_not_started(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, tmp_path: Path, broker: "Redis[bytes]"
) -> None:
    worker = counting_worker("--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "4")
    celery_app.send_task("test.work_until", ("running", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("running") == 1)
    waiting = [celery_app.send_task("test.work_until", (f"w{n}", str(tmp_path / "never"))) for n in range(2)]
    wait_until(lambda: broker.hlen("unacked") >= 3)

    worker.process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    worker.process.wait(30)

    assert marks.ends("running") == 1
    assert broker.hlen("unacked") == 0  # the worker has ended, so nothing is under way
    assert broker.llen("default") == len(waiting)
