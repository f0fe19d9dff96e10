"""Jobs that fail before they succeed, and one that takes its time.

Workers of tests load them with Celery's ``-I tests.rabbitmq.retrying_jobs``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Task, shared_task

from tests.functional.probe_jobs import note


@shared_task(
    name="probe.retry_by_options",
    bind=True,
    autoretry_for=(ConnectionError,),
    max_retries=3,
    retry_backoff=1,
    retry_jitter=False,
)
def retry_by_options(self: Task, failures: int) -> int:
    """Raise that often, and leave the rest to Celery's options."""
    note(self.request.id, retries=self.request.retries)
    if self.request.retries < failures:
        raise ConnectionError("not yet")
    return self.request.retries


@shared_task(name="probe.retry_with_countdown", bind=True, max_retries=1)
def retry_with_countdown(self: Task) -> int:
    """Ask for another run in a second."""
    note(self.request.id, retries=self.request.retries)
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("not yet"), countdown=1)
    return self.request.retries


@shared_task(name="probe.wait_long", bind=True)
def wait_long(self: Task, folder: str) -> str:
    """Run until the folder has a file named ``go``; both runs of one that is delivered twice see it."""
    note(self.request.id, redelivered=bool(self.request.delivery_info.get("redelivered")), pid=os.getpid())
    end = time.monotonic() + 120
    while not (Path(folder) / "go").exists():
        assert time.monotonic() < end, "nobody said go"
        time.sleep(0.02)
    note(self.request.id, ended=os.getpid())
    return "waited"
