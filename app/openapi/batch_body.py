"""What the OpenAPI document says of the body of a batch: any of the tasks' params, each with its own schema."""

from collections.abc import Iterable
from typing import Any

from app.api_1_0.batch_body import MOST_JOBS, NDJSON
from app.api_1_0.idempotency import LONGEST_KEY
from app.api_1_0.queries import WishesSchema
from app.json_schema import options_schema, params_schema
from libs.flask_celery import JobSpec

_OPTIONS = {
    **options_schema(WishesSchema),
    "idempotency_key": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_KEY,
        "pattern": "^[ -~]+$",
        "description": "Your name for this one job, as with the header Idempotency-Key.",
    },
}

_EXAMPLE: dict[str, Any] = {
    "jobs": [{"task": "maintenance.adds", "params": {"a": number, "b": 2}} for number in (1, 2)],
    "then": {"task": "batches.collect"},
}

_THEN = {
    "type": "object",
    "description": "A task with the param `batch_id`, to run once when all jobs are final.",
    "required": ["task"],
    "properties": {"task": {"type": "string"}, "params": {"type": "object"}},
    "additionalProperties": False,
}


def batch_body(tasks: Iterable[JobSpec]) -> dict[str, Any]:
    """The request body, in each of its forms."""
    job = {"anyOf": [_job(task) for task in tasks]}
    jobs = {"type": "array", "minItems": 1, "maxItems": MOST_JOBS, "items": job}
    whole = {
        "type": "object",
        "required": ["jobs"],
        "properties": {"jobs": jobs, "then": _THEN},
        "additionalProperties": False,
    }
    lines = {"type": "string", "description": 'A job a line; a first line {"then": {…}} says what follows.'}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [whole, jobs]}, "example": _EXAMPLE},
            NDJSON[0]: {"schema": lines},
        },
    }


def batch_links() -> dict[str, Any]:
    """What a client can do with the batch id it has just been given (OpenAPI links)."""
    batch_id = {"batch_id": "$response.body#/batch_id"}
    operations = {"batch": "get_batch", "delete": "delete_batch", "cancel": "post_batch_cancel"}
    return {name: {"operationId": operation, "parameters": batch_id} for name, operation in operations.items()}


def _job(task: JobSpec) -> dict[str, Any]:
    return {
        "type": "object",
        "title": task.name,
        "required": ["task", *(["params"] if params_schema(task).get("required") else [])],
        "properties": {"task": {"const": task.name}, "params": params_schema(task), **_OPTIONS},
        "additionalProperties": False,
    }
