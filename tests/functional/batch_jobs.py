"""Jobs for batches. Workers of tests load them with Celery's ``-I tests.functional.batch_jobs``."""

from __future__ import annotations

import os
import signal
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from libs.flask_celery import current_job, job, read_batch
from libs.flask_celery.batches import then as batch_then
from tests.functional.probe_jobs import note, wait_for_go


class WaitParams(Schema):
    until = fields.String(required=True)
    outcome = fields.String(load_default="success")


class OverParams(Schema):
    batch_id = fields.UUID(required=True)
    name = fields.String(load_default="then")


@job("batchprobe.wait", params=WaitParams)
def wait(until: str, outcome: str = "success") -> str:
    """Note that it runs, wait until the test says go, and end as told."""
    note(until, started=current_job.task_id)
    wait_for_go(until)
    if outcome == "failure":
        raise ValueError("told to fail")
    if outcome == "die before then":
        _die_before_then()
    return until


@job("batchprobe.over", params=OverParams)
def over(batch_id: UUID, name: str = "then") -> dict[str, Any]:
    """Note each run, and what it finds of its batch."""
    batch = read_batch(str(batch_id))
    counts = {state.value: count for state, count in batch.counts.items() if count}
    note(f"{name}-{batch_id}", run=current_job.task_id, counts=counts, ready=batch.ready)
    return counts


def _die_before_then() -> None:
    """Have this process killed between storing the last job's end and submitting ``then``."""

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    batch_then._submit = die
