"""The file by which whoever restarts processes knows that a worker is well."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from tests.conftest import RedisServer, Worker, wait_until
from tests.delivery.conftest import Marks

pytestmark = pytest.mark.long


@pytest.fixture
def heartbeat(environment: dict[str, str], tmp_path: Path) -> Path:
    file = tmp_path / "worker-alive"
    environment["WORKER_HEARTBEAT_FILE"] = str(file)
    return file


def age(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def touched_after(file: Path, seconds: float) -> Callable[[], bool]:
    """Whether it has been touched at some time that is at least so far off from now."""
    then = time.time() + seconds
    return lambda: file.exists() and file.stat().st_mtime > then


def test_the_file_grows_old_while_the_event_loop_hangs_and_is_fresh_again_after_it(
    heartbeat: Path,
    celery_app: Celery,
    counting_worker: Callable[..., Worker],
    marks: Marks,
    tmp_path: Path,
) -> None:
    """A solo pool runs its job in the loop, which is how it can be held up from outside."""
    counting_worker("--pool", "solo")
    wait_until(touched_after(heartbeat, 0), timeout=30)
    celery_app.send_task("test.work_until", ("hangs", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("hangs") == 1, timeout=30)

    wait_until(lambda: age(heartbeat) > 22, timeout=60)  # when it has been asked whether the broker answers, too

    (tmp_path / "go").touch()
    wait_until(lambda: age(heartbeat) < 5, timeout=60)


@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_a_worker_that_runs_a_long_job_or_waits_for_redis_is_well(
    how: str,
    heartbeat: Path,
    celery_app: Celery,
    counting_worker: Callable[..., Worker],
    marks: Marks,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    counting_worker("--concurrency", "1")
    celery_app.send_task("test.work_until", ("long", str(tmp_path / "go")))
    wait_until(lambda: marks.starts("long") == 1, timeout=30)
    wait_until(touched_after(heartbeat, 6), timeout=60)

    if how == "stopped":
        redis_server.stop()
    else:  # it takes connections and says nothing, and the worker's loop waits in a read
        redis_server.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(touched_after(heartbeat, 21), timeout=90)
    finally:
        redis_server.process.send_signal(signal.SIGCONT) if redis_server.process else redis_server.start()
    (tmp_path / "go").touch()
    wait_until(touched_after(heartbeat, 1), timeout=60)
