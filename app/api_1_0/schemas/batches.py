"""Batches: just submitted, under way, over."""

from typing import Any

from marshmallow import Schema, fields

from app.api_1_0.links import batch_url, result_url
from app.api_1_0.schemas.times import JobDateTime
from libs.flask_celery import BatchRecord, JobState, SubmittedBatch

_LINKS = {"type": "object", "additionalProperties": {"type": "string"}}

_COUNTS = {
    "type": "object",
    "required": [state.value for state in JobState],
    "properties": {state.value: {"type": "integer"} for state in JobState},
    "description": "How many jobs are in each state.",
}


class ThenJobSchema(Schema):
    """The job that runs once when all others are final."""

    task = fields.String(required=True)
    task_id = fields.String(required=True)
    state = fields.Enum(
        JobState,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "null until it is submitted; then it is polled like any job."},
    )
    links = fields.Function(
        lambda then: {"result": result_url(then.task_id)} if then.is_submitted else {}, required=True, metadata=_LINKS
    )


class OutcomeSchema(Schema):
    """What became of one job: accepted (202), or refused, with a problem's members."""

    status = fields.Integer(required=True, metadata={"description": "What it would have been answered by itself."})
    task_id = fields.String()
    state = fields.Enum(JobState, by_value=True)
    replayed = fields.Boolean(metadata={"description": "Submitted earlier, under its own idempotency_key."})
    already_running = fields.Boolean(
        metadata={"description": "Under way already; there is one at a time of its task."}
    )
    title = fields.String()
    detail = fields.String()
    errors = fields.Dict(keys=fields.String())


class SubmittedBatchSchema(Schema):
    """A batch of which at least one job was accepted."""

    batch_id = fields.String(required=True)
    submitted_at = JobDateTime(required=True)
    total = fields.Function(lambda batch: len(batch.outcomes), required=True, metadata={"type": "integer"})
    accepted = fields.Integer(required=True)
    refused = fields.Function(
        lambda batch: len(batch.outcomes) - batch.accepted, required=True, metadata={"type": "integer"}
    )
    then = fields.Nested(ThenJobSchema, allow_none=True, required=True)
    outcomes = fields.List(
        fields.Nested(OutcomeSchema), required=True, metadata={"description": "In the order sent."}
    )
    links = fields.Method("get_links", required=True, metadata=_LINKS)

    def get_links(self, batch: SubmittedBatch) -> dict[str, str]:
        """Of the batch just accepted."""
        return {"self": batch_url(batch.batch_id), "cancel": batch_url(batch.batch_id)}


class BatchSchema(Schema):
    """A batch and how far it is."""

    batch_id = fields.String(required=True)
    total = fields.Integer(required=True, metadata={"description": "Jobs that were sent."})
    accepted = fields.Integer(required=True, metadata={"description": "Jobs that it has."})
    counts = fields.Function(
        lambda batch: {state.value: count for state, count in batch.counts.items()}, required=True, metadata=_COUNTS
    )
    complete = fields.Boolean(
        attribute="is_complete",
        required=True,
        metadata={"description": "false while its jobs are being accepted, or when that has broken off."},
    )
    ready = fields.Boolean(required=True, metadata={"description": "All its jobs are final."})
    then = fields.Nested(ThenJobSchema, allow_none=True, required=True)
    submitted_at = JobDateTime(required=True)
    cancelled_at = JobDateTime(allow_none=True, required=True)
    finished_at = JobDateTime(allow_none=True, required=True)
    expires_at = JobDateTime(allow_none=True, required=True)
    links = fields.Method("get_links", required=True, metadata=_LINKS)

    def get_links(self, batch: BatchRecord) -> dict[str, str]:
        """Cancelling is offered while it can be done."""
        links = {"self": batch_url(batch.batch_id)}
        return links if batch.ready else links | {"cancel": batch_url(batch.batch_id)}


class BatchWithJobsSchema(BatchSchema):
    """A batch with a page of its jobs, in the order sent."""

    jobs = fields.List(
        fields.Raw(
            metadata={
                "anyOf": [{"$ref": "#/components/schemas/Result"}, {"$ref": "#/components/schemas/MissingResult"}]
            }
        ),
        required=True,
    )
    next = fields.Integer(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )


class BatchPageSchema(Schema):
    """Batches, newest first."""

    batches = fields.List(fields.Nested(BatchSchema), required=True)
    next = fields.String(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )


def submitted_head(batch: SubmittedBatch) -> dict[str, Any]:
    """A submitted batch without its outcomes, which are too many for a schema to dump."""
    dumped: dict[str, Any] = SubmittedBatchSchema(exclude=["outcomes"]).dump(batch)
    return dumped
