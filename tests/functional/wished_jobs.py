"""A job that clients submit with every option there is, and that ends as told."""

from __future__ import annotations

import time
from typing import Any

from celery import Task
from flask import g
from marshmallow import Schema, fields

from libs.flask_celery import current_job, job
from tests.functional.probe_jobs import note, wait_for_go


class WishedParams(Schema):
    outcome = fields.String(load_default="success")


@job("probe.wished", params=WishedParams, bind=True, queues=("fast", "slow"), max_retries=1)
def wished(self: Task, outcome: str = "success") -> dict[str, Any]:
    """Notes that it runs, then ends as told: success, failure, retry, wait, listen, hang."""
    runs = note(self.request.id, deadline=g.deadline and g.deadline.isoformat(), at=time.time())
    match outcome:
        case "failure":
            raise ValueError("told to fail")
        case "retry" if self.request.retries == 0:
            raise self.retry(countdown=2)
        case "wait" if runs == 1:
            wait_for_go(self.request.id)
        case "listen":
            for step in range(3_000):
                current_job.progress(step)
                time.sleep(0.02)
        case "hang":
            time.sleep(60)
    return {"runs": runs, "queue": self.request.delivery_info["routing_key"]}
