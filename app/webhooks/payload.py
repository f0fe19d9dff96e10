"""What a webhook says: the event, and the job as its owner may see it, within bounds."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.json_values import json_value
from app.webhooks.delivery_log import Delivery
from libs.flask_celery import ExpiredJobError, JobState, UnknownJobError

if TYPE_CHECKING:
    from app.webhooks.services import Webhooks

#: Bytes. Standard Webhooks advises to stay below 20 KB.
LONGEST_PAYLOAD = 20_000

EVENTS = {
    JobState.SUCCESS: "job.succeeded",
    JobState.FAILURE: "job.failed",
    JobState.REVOKED: "job.cancelled",
}

#: What is left out for its size, in this order, until the payload is small enough; and what then stands in its place.
_OMITTED: tuple[tuple[str, Any], ...] = (("result", None), ("files", []), ("progress", None), ("error", None))


def payload_of(webhooks: "Webhooks", delivery: Delivery) -> bytes:
    """As JSON. Of a job whose result has expired meanwhile it says that it has ended, and how.

    Raises: redis-py's connection errors.
    """
    if delivery.task_id is None:
        return _as_bytes("webhook.test", delivery.created_at, {"delivery_id": delivery.id})
    records = webhooks.records
    try:
        record = records.get(delivery.task_id)
    except (ExpiredJobError, UnknownJobError):
        state = webhooks.state_of(delivery.task_id)
        data = {"task_id": delivery.task_id, "state": state.value, "ready": True, "omitted": ["result", "error"]}
        return _as_bytes(EVENTS[state], delivery.created_at, data)
    return _bounded(EVENTS[record.state], record.finished_at or delivery.created_at, webhooks.represent(record))


def _bounded(event: str, timestamp: datetime, represented: dict[str, Any]) -> bytes:
    data = {**represented, "omitted": []}
    for name, instead in _OMITTED:
        body = _as_bytes(event, timestamp, data)
        if len(body) <= LONGEST_PAYLOAD:
            return body
        data = {**data, name: instead, "omitted": [*data["omitted"], name]}
    return _as_bytes(event, timestamp, data)


def _as_bytes(event: str, timestamp: datetime, data: dict[str, Any]) -> bytes:
    said = timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(
        json_value({"type": event, "timestamp": said, "data": data}), ensure_ascii=False, separators=(",", ":")
    ).encode()
