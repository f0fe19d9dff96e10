"""Jobs with a rate limit, of all workers together or of each, that note when and where they have begun."""

from __future__ import annotations

import time
from typing import Any

from celery import Task, shared_task
from marshmallow import Schema, fields

from libs.flask_celery import job
from tests.functional.probe_jobs import note


class LabelParams(Schema):
    label = fields.String(required=True)


def note_start(task: Task, label: str) -> None:
    request: Any = task.request
    note(label, at=time.time(), id=request.id, worker=request.hostname, retries=request.retries)


@job("probe.together", params=LabelParams, bind=True, rate_limit="10/s", scope="global", queues=("for_task_collect",))
def together(self: Task, label: str) -> str:
    """Ten a second, whoever runs them."""
    note_start(self, label)
    return label


@job("probe.apart", params=LabelParams, bind=True, rate_limit="10/s")
def apart(self: Task, label: str) -> str:
    """Ten a second in each worker, as Celery has it."""
    note_start(self, label)
    return label


@job("probe.seldom", params=LabelParams, bind=True, rate_limit="1/h", scope="global")
def seldom(self: Task, label: str) -> str:
    """One in an hour."""
    note_start(self, label)
    return label


@job("probe.often", params=LabelParams, bind=True, rate_limit="200/s", scope="global")
def often(self: Task, label: str) -> str:
    """Two hundred a second."""
    note_start(self, label)
    return label


@shared_task(name="probe.unlimited", bind=True)  # type: ignore[untyped-decorator]
def unlimited(self: Task, label: str) -> str:
    note_start(self, label)
    return label
