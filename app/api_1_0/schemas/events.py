"""What becomes of a job, as it is told: its events and its log."""

from marshmallow import Schema, fields, validate

from app.api_1_0.schemas.jobs import ProgressSchema
from app.api_1_0.schemas.times import JobDateTime
from libs.flask_celery import LEVELS, JobState


class StateEventSchema(Schema):
    """``event: state``: the job has come into another state, or into the same one anew."""

    state = fields.Enum(
        JobState, by_value=True, required=True, metadata={"description": "Celery's state of the job."}
    )
    ready = fields.Boolean(attribute="state.ready", required=True, metadata={"description": "The state is final."})
    at = JobDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When; null in the state that a stream opens with."},
    )
    retries = fields.Integer(required=True, allow_none=True)
    job = fields.Raw(
        required=True,
        metadata={
            "anyOf": [{"$ref": "#/components/schemas/Result"}, {"type": "null"}],
            "description": "The job as its result shows it; null where there is a newer state by now.",
        },
    )


class ProgressEventSchema(ProgressSchema):
    """``event: progress``: how far the job is, in its own unit."""

    at = JobDateTime(required=True)


class LogLineSchema(Schema):
    """A line of a job's log, and ``event: log``."""

    number = fields.Integer(required=True, metadata={"description": "From 1; a number left out was not kept."})
    at = JobDateTime(required=True)
    level = fields.String(required=True, validate=validate.OneOf(LEVELS))
    message = fields.String(required=True)
    run = fields.Integer(required=True, metadata={"description": "Which run of the job said it, from 1."})
    retries = fields.Integer(required=True, metadata={"description": "How many of the runs before were retried."})


class LogPageSchema(Schema):
    """Lines of a job's log, the oldest first."""

    lines = fields.List(fields.Nested(LogLineSchema), required=True)
    dropped = fields.Integer(
        required=True, metadata={"description": "How many lines before these are not kept any more."}
    )
    next = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The cursor of what comes after these; null when nothing will."},
    )
