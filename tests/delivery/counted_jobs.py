"""Jobs that leave a mark in Redis for each start and each end, so that tests can count them.

Loaded into real workers with Celery's ``-I tests.delivery.counted_jobs``.
"""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Reject
from flask import current_app
from redis import Redis

from libs.flask_celery import ContextTask, current_job

STARTS = "test-starts"
ENDS = "test-ends"


def mark(key: str, label: str) -> None:
    url = current_app.config["TASKGATE"].redis_url
    with Redis.from_url(url, db=5) as client:
        client.rpush(key, f"{label} {os.getpid()}")


@shared_task(name="test.work")
def work(label: str, seconds: float = 0.0) -> str:
    mark(STARTS, label)
    time.sleep(seconds)
    mark(ENDS, label)
    return label


@shared_task(name="test.work_until")
def work_until(label: str, path: str) -> str:
    """Run until the file exists."""
    mark(STARTS, label)
    while not Path(path).exists():
        time.sleep(0.02)
    mark(ENDS, label)
    return label


def _wait_to_be_told(folder: str, run: int) -> None:
    while not (Path(folder) / f"go {run}").exists():
        time.sleep(0.02)


def count_start(label: str) -> int:
    """Mark a start. Returns: the how manieth of this label it is, whatever starts meanwhile."""
    with Redis.from_url(current_app.config["TASKGATE"].redis_url, db=5) as client:
        run = int(client.incr(f"test-runs-{label}"))
    mark(STARTS, label)
    return run


@shared_task(name="test.work_until_told")
def work_until_told(label: str, folder: str) -> int:
    """Run until the file ``go <number of the run>`` exists; returns that number."""
    run = count_start(label)
    _wait_to_be_told(folder, run)
    mark(ENDS, label)
    return run


@shared_task(name="test.progress_until_told")
def progress_until_told(label: str, folder: str) -> int:
    """The same, telling its progress."""
    run = count_start(label)
    while not (Path(folder) / f"go {run}").exists():
        current_job.progress(run, 10)
        time.sleep(0.05)
    mark(ENDS, label)
    return run


@shared_task(name="test.retry_when_told", bind=True)
def retry_when_told(self: Task, label: str, folder: str) -> None:
    """Ask for a retry in an hour, once told."""
    _wait_to_be_told(folder, count_start(label))
    raise self.retry(countdown=3600)


@shared_task(name="test.retry_at_once_when_told", bind=True)
def retry_at_once_when_told(self: Task, label: str, folder: str) -> int:
    """Retry once, once told; returns how many runs there were."""
    run = count_start(label)
    if self.request.retries == 0:
        _wait_to_be_told(folder, run)
        raise self.retry(countdown=0)
    return run


class DyingTask(ContextTask):
    """Ends its process when its retry is published and stored, and its message is not acknowledged."""

    abstract = True

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        mark(ENDS, f"{args[0]}-died")
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="test.retry_and_die", bind=True, base=DyingTask)
def retry_and_die(self: Task, label: str, folder: str) -> str:
    """Retry once, at once, then run until told; in a pool of the worker's own process the worker dies with it."""
    run = count_start(label)
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    _wait_to_be_told(folder, run)
    return f"retry {self.request.retries}"


@shared_task(name="test.work_acknowledged_early", acks_late=False)
def work_acknowledged_early(label: str, seconds: float) -> str:
    mark(STARTS, label)
    time.sleep(seconds)
    return label


@shared_task(name="test.work_in_foreign_code")
def work_in_foreign_code(label: str, seconds: int) -> str:
    """In one C call that no signal brings back to Python: SQLite counts to far beyond."""
    mark(STARTS, label)
    with sqlite3.connect(":memory:") as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT :rows) SELECT count(*) FROM n",
            {"rows": seconds * 100_000_000},
        ).fetchone()
    return label


@shared_task(name="test.join")
def join(labels: list[str]) -> str:
    """The body of a chord."""
    mark(STARTS, "-".join(labels))
    return "-".join(labels)


@shared_task(name="test.retry_once", bind=True, max_retries=1)
def retry_once(self: Task, label: str) -> str:
    mark(STARTS, label)
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return label


@shared_task(name="test.work_in_files")
def work_in_files(label: str, folder: str, *, wait: bool = False) -> str:
    """Leave a line in the file ``<label>`` and no mark in Redis; told to wait, run until the file ``go`` exists."""
    with (Path(folder) / label).open("a") as file:
        file.write("started\n")
    while wait and not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return label


@shared_task(name="test.kill_its_process", max_retries=1)
def kill_its_process(label: str) -> None:
    mark(STARTS, label)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="test.end_oddly", bind=True, max_retries=1)
def end_oddly(self: Task, label: str, how: str) -> str:
    """Fail, be rejected, ask for another run, or end the process."""
    mark(STARTS, label)
    match how:
        case "error":
            raise ValueError(label)
        case "reject":
            raise Reject(label, requeue=False)
        case "retry" if self.request.retries == 0:
            raise self.retry(countdown=0)
        case "exit" if self.request.retries == 0:
            sys.exit(3)
    return label
