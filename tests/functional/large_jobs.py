"""Jobs that say more than anybody can keep; loaded with the other probes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from celery import Task, shared_task
from sqlalchemy import text

from app.extensions import db
from libs.flask_celery import current_job


@shared_task(name="probe.return_at_length", autoretry_for=(Exception,), retry_backoff=1)
def return_at_length(size: int, row: str = "") -> str:
    """A result of ``size`` bytes of JSON, and a row that is only there when it is stored."""
    if row:
        db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": row})
    return "x" * (size - 2)


@shared_task(name="probe.return_at_length_once", transactional=True)
def return_at_length_once(size: int, row: str) -> str:
    db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": row})
    return "x" * (size - 2)


@shared_task(name="probe.return_ignored", ignore_result=True)
def return_ignored(size: int) -> str:
    return "x" * size


@shared_task(name="probe.fail_at_length")
def fail_at_length(size: int) -> None:
    raise ValueError("begin" + "x" * size + "end", {"more": "y" * size})


@shared_task(name="probe.say_at_length")
def say_at_length(size: int) -> None:
    current_job.progress(1, 1, "x" * size)


@shared_task(name="probe.update_at_length", bind=True)
def update_at_length(self: Task, size: int) -> None:
    self.update_state(state="PROGRESS", meta={"everything": "x" * size})


@shared_task(name="probe.attach_many")
def attach_many(count: int) -> Any:
    with TemporaryDirectory() as folder:
        for number in range(count):
            source = Path(folder) / "file"
            source.write_bytes(b"x")
            current_job.attach(source, name=f"{number}.txt", content_type="text/plain")
    return count
