"""Failed jobs that wait for somebody to look at them."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api_1_0.links import result_url, retry_url
from app.api_1_0.schemas.jobs import FailureSchema
from app.api_1_0.schemas.problems import ProblemSchema
from app.api_1_0.schemas.times import UtcDateTime
from libs.flask_celery import DeadLetter

#: Dead letters that one call may act on.
MOST_AT_ONCE = 1_000


class DeadLetterSchema(Schema):
    """A job that failed, with what it was submitted with kept, so that it can be run again."""

    task_id = fields.String(attribute="id", required=True)
    task = fields.String(required=True, allow_none=True)
    owner = fields.String(required=True)
    queue = fields.String(required=True)
    failed_at = UtcDateTime(required=True)
    error = fields.Nested(
        FailureSchema,
        attribute="failure",
        required=True,
        allow_none=True,
    )
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_links(self, letter: DeadLetter) -> dict[str, str]:
        """Its result, while it is kept, and where to run it again."""
        return {"result": result_url(letter.id), "retry": retry_url(letter.id)}


class DeadLetterPageSchema(Schema):
    """Dead letters, the newest failure first."""

    dead_letters = fields.List(fields.Nested(DeadLetterSchema), required=True)
    next = fields.String(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )


class DeadLetterChoiceSchema(Schema):
    """Which ones: by their ids, or the newest that a filter finds."""

    task_ids = fields.List(fields.String(validate=validate.Length(1, 255)), validate=validate.Length(1, MOST_AT_ONCE))
    task = fields.String(validate=validate.Length(1, 255))
    since = fields.AwareDateTime(metadata={"description": "Failed at this time or later."})
    owner = fields.String(
        validate=validate.Length(1, 255), metadata={"description": "Somebody else's: for admins only."}
    )
    limit = fields.Integer(strict=True, validate=validate.Range(1, MOST_AT_ONCE))
    cursor = fields.String(validate=validate.Length(1, 512))

    @validates_schema
    def _one_way(self, data: dict[str, Any], **_: Any) -> None:
        filters = data.keys() - {"task_ids"}
        if "task_ids" in data and filters:
            raise ValidationError({name: ["Not together with task_ids."] for name in filters})
        if "task_ids" not in data and not filters & {"task", "since"}:
            raise ValidationError("Name the jobs (task_ids), or say which (task, since).", "task_ids")


class RetriedSchema(Schema):
    """A dead letter that was run again."""

    task_id = fields.String(required=True)
    retried_as = fields.String(required=True, metadata={"description": "The new job."})
    links = fields.Function(
        lambda outcome: {"result": result_url(outcome["retried_as"])},
        required=True,
        metadata={"type": "object", "additionalProperties": {"type": "string"}},
    )


class DroppedSchema(Schema):
    """A dead letter that was taken off the list."""

    task_id = fields.String(required=True)
    dropped = fields.Boolean(required=True)


class OutcomeProblemSchema(ProblemSchema):
    """In the place of a dead letter with which it could not be done: why."""

    task_id = fields.String(required=True)


def _outcomes(component: str) -> fields.List[Any]:
    either = [{"$ref": f"#/components/schemas/{name}"} for name in (component, "OutcomeProblem")]
    return fields.List(fields.Raw(metadata={"anyOf": either}), required=True)


def _next() -> fields.String:
    description = "The cursor with which to go on; null when there is no more."
    return fields.String(allow_none=True, required=True, metadata={"description": description})


class RetriedListSchema(Schema):
    """An outcome for each."""

    outcomes = _outcomes("Retried")
    next = _next()


class DroppedListSchema(Schema):
    """An outcome for each."""

    outcomes = _outcomes("Dropped")
    next = _next()
