"""Tasks that can be submitted."""

from typing import Any

from marshmallow import Schema, fields

from app.api_1_0.links import submit_url, task_url
from app.json_schema import params_schema
from libs.flask_celery import JobSpec


class TaskSchema(Schema):
    """A task that can be submitted."""

    name = fields.String(required=True)
    summary = fields.String(required=True)
    description = fields.String(required=True)
    queue = fields.Function(lambda spec: spec.queue or "default", metadata={"type": "string"})
    params = fields.Method("get_params", metadata={"type": "object", "description": "JSON Schema of the params."})
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_params(self, spec: JobSpec) -> dict[str, Any]:
        """As OpenAPI 3.1 has it, which is JSON Schema."""
        return params_schema(spec)

    def get_links(self, spec: JobSpec) -> dict[str, str]:
        """Where to read of it and where to submit."""
        return {"self": task_url(spec.name), "submit": submit_url(spec.name)}


class TaskListSchema(Schema):
    """Every task that can be submitted, by name."""

    tasks = fields.List(fields.Nested(TaskSchema), required=True)
