"""Batches submitted by code of an application: what is stored about them and what is queued."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from libs.flask_celery import BatchItem, SubmittedBatch, Then

ADDS = "maintenance.adds"
COLLECT = Then("batches.collect")


def adds(count: int, **options: Any) -> list[BatchItem]:
    return [BatchItem(ADDS, {"a": number, "b": 1}, **options) for number in range(count)]


def task_ids(batch: SubmittedBatch) -> list[str]:
    return [outcome.task_id for outcome in batch.outcomes if outcome.task_id and outcome.refusal is None]


def queued(broker: Redis, queue: str = "default") -> list[dict[str, Any]]:
    """The messages of a queue, the next one first."""
    return [json.loads(message) for message in reversed(broker.lrange(queue, 0, -1))]
