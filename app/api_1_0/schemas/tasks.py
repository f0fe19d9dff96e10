"""Tasks that can be submitted."""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from app.api_1_0.links import submit_url, task_url
from app.json_schema import params_schema
from libs.flask_celery import JobDescription, Unique


class LimitsSchema(Schema):
    """What bounds a job; null where nothing does."""

    time_limit = fields.Float(required=True, allow_none=True, metadata={"description": "Seconds a run may take."})
    soft_time_limit = fields.Float(
        required=True, allow_none=True, metadata={"description": "Seconds after which a run is told to end."}
    )
    rate_limit = fields.String(
        required=True, allow_none=True, metadata={"description": "Runs that may begin, as 10/m."}
    )
    rate_limit_scope = fields.String(
        required=True,
        allow_none=True,
        validate=OneOf(["worker", "global"]),
        metadata={"description": "Whether `rate_limit` is of each worker or of all together."},
    )
    max_retries = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Further tries when one fails."}
    )
    queue_limit = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Jobs in its queue before it is full."}
    )
    owner_limit = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Unfinished jobs that you may have."}
    )


class TaskSchema(Schema):
    """A task that can be submitted."""

    name = fields.String(attribute="spec.name", required=True)
    summary = fields.String(attribute="spec.summary", required=True)
    description = fields.String(attribute="spec.description", required=True)
    queue = fields.String(required=True, metadata={"description": "Where it waits."})
    queues = fields.List(
        fields.String(), required=True, metadata={"description": "What `queue` of a submission may say."}
    )
    unique = fields.Enum(
        Unique,
        by_value=True,
        attribute="spec.unique",
        required=True,
        allow_none=True,
        metadata={
            "description": "One job at a time is under way: of each `owner`, of each owner with the same `params`, "
            "or of the `task` for all. Another one submitted meanwhile is answered with it."
        },
    )
    limits = fields.Nested(LimitsSchema, required=True)
    params = fields.Method("get_params", metadata={"type": "object", "description": "JSON Schema of the params."})
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_params(self, job: JobDescription) -> dict[str, Any]:
        """As OpenAPI 3.1 has it, which is JSON Schema."""
        return params_schema(job.spec)

    def get_links(self, job: JobDescription) -> dict[str, str]:
        """Where to read of it and where to submit."""
        return {"self": task_url(job.spec.name), "submit": submit_url(job.spec.name)}


class TaskListSchema(Schema):
    """Every task that can be submitted, by name."""

    tasks = fields.List(fields.Nested(TaskSchema), required=True)
