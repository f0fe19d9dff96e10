"""A Redis that answers and takes no writes for now is waited for, as one that does not answer."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from tests.conftest import Worker, wait_until


def starts(folder: Path, label: str) -> int:
    file = folder / label
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_a_worker_goes_on_when_redis_takes_writes_again(
    pool: str,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    worker = counting_worker("--pool", pool, "--concurrency", "1")
    running = celery_app.send_task("test.work_in_files", ("a", str(tmp_path)), {"wait": True})
    wait_until(lambda: starts(tmp_path, "a") == 1)

    broker.config_set("min-replicas-to-write", 1)
    try:
        (tmp_path / "go").touch()
        time.sleep(3)  # several attempts to store and to take, each refused
    finally:
        broker.config_set("min-replicas-to-write", 0)

    assert running.get(timeout=60) == "a"
    assert celery_app.send_task("test.work_in_files", ("b", str(tmp_path))).get(timeout=60) == "b"
    assert starts(tmp_path, "a") == 1
    assert worker.process.poll() is None


def test_a_full_redis_fails_no_job_and_keeps_those_that_are_due(
    counting_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]", tmp_path: Path
) -> None:
    counting_worker("--pool", "solo")
    first = celery_app.send_task("test.work_in_files", ("a", str(tmp_path)), {"wait": True})
    second = celery_app.send_task("test.work_in_files", ("b", str(tmp_path)))
    later = celery_app.send_task("test.work_in_files", ("c", str(tmp_path)), countdown=2)
    wait_until(lambda: starts(tmp_path, "a") == 1)

    broker.config_set("maxmemory", 1)
    try:
        (tmp_path / "go").touch()
        time.sleep(4)
        assert broker.zcard("taskgate-delayed") == 1
    finally:
        broker.config_set("maxmemory", 0)

    assert [result.get(timeout=60) for result in (first, second, later)] == ["a", "b", "c"]
    assert [starts(tmp_path, label) for label in "abc"] == [1, 1, 1]
