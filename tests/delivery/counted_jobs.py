"""Jobs that leave a mark in Redis for each start and each end, so that tests can count them.

Loaded into real workers with Celery's ``-I tests.delivery.counted_jobs``.
"""

import os
import time
from pathlib import Path

from celery import shared_task
from flask import current_app
from redis import Redis

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
