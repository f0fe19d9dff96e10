"""Jobs: just submitted, under way, ended."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from marshmallow import Schema, fields

from app.api_1_0.links import cancel_url, events_url, file_url, logs_url, result_url, retry_url
from app.api_1_0.schemas.labels import state_label
from app.api_1_0.schemas.problems import ProblemSchema
from app.api_1_0.schemas.times import JobDateTime, job_time
from libs.flask_celery import JobRecord, JobState


def _state() -> fields.Enum[JobState]:
    return fields.Enum(JobState, by_value=True, required=True, metadata={"description": "Celery's state of the job."})


@dataclass(frozen=True, slots=True)
class Submission:
    """A job just accepted, with the token that opens it."""

    task_id: str
    task: str
    state: JobState
    submitted_at: datetime
    access_token: str = field(repr=False)


class EmptySchema(Schema):
    """An object without members: there is nothing to say."""


class SubmittedSchema(Schema):
    """A job that was accepted: it is stored and will run."""

    task_id = fields.String(required=True)
    task = fields.String(required=True)
    state = _state()
    submitted_at = JobDateTime(required=True)
    access_token = fields.String(
        required=True, metadata={"description": "Opens this job, and nothing else, for a limited time."}
    )
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """As marshmallow's. One by itself, of which there is one in each answer to a submission, is put together."""
        if many or self.many:
            return super().dump(obj, many=many)
        return {
            "task_id": obj.task_id,
            "task": obj.task,
            "state": obj.state.value,
            "submitted_at": job_time(obj.submitted_at),
            "access_token": obj.access_token,
            "links": self.get_links(obj),
        }

    def get_links(self, job: Submission) -> dict[str, str]:
        """Of the job just accepted."""
        return {
            "result": result_url(job.task_id),
            "events": events_url(job.task_id),
            "logs": logs_url(job.task_id),
            "cancel": cancel_url(job.task_id),
        }


class ProgressSchema(Schema):
    """How far a job is, in its own unit."""

    current = fields.Integer(required=True)
    total = fields.Integer(required=True, allow_none=True)
    message = fields.String(required=True)


class FailureSchema(Schema):
    """Why a job failed."""

    type = fields.String(required=True)
    message = fields.String(required=True)


_JOB_FILE = {
    "type": "object",
    "required": ["name", "size", "content_type", "url"],
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "description": "In bytes."},
        "content_type": {"type": "string"},
        "url": {"type": "string", "description": "Where to download it."},
    },
}


class ResultSchema(Schema):
    """A job and, once it is final, what came of it. A failed job is a 200 with ``error``."""

    task_id = fields.String(required=True)
    task = fields.String(required=True, allow_none=True)
    state = _state()
    state_label = fields.Function(
        lambda job: state_label(job.state),
        required=True,
        metadata={
            "type": "string",
            "description": "The state for people, as `Accept-Language` has it: en, zh.",
        },
    )
    ready = fields.Boolean(attribute="state.ready", required=True, metadata={"description": "The state is final."})
    successful = fields.Function(
        lambda record: record.state is JobState.SUCCESS if record.state.ready else None,
        required=True,
        metadata={"type": ["boolean", "null"], "description": "null until the state is final."},
    )
    progress = fields.Nested(ProgressSchema, allow_none=True, required=True)
    result = fields.Raw(allow_none=True, required=True)
    error = fields.Nested(FailureSchema, attribute="failure", allow_none=True, required=True)
    files = fields.Method("get_files", required=True, metadata={"type": "array", "items": _JOB_FILE})
    submitted_at = JobDateTime(allow_none=True, required=True)
    started_at = JobDateTime(allow_none=True, required=True)
    finished_at = JobDateTime(allow_none=True, required=True)
    retries = fields.Integer(required=True)
    expires_at = JobDateTime(allow_none=True, required=True)
    next_run_at = JobDateTime(
        allow_none=True,
        required=True,
        metadata={"description": "When a job runs that waits for its time or for another try."},
    )
    retry_of = fields.String(
        allow_none=True, required=True, metadata={"description": "The job that this one runs again."}
    )
    retried_as = fields.String(
        allow_none=True, required=True, metadata={"description": "The newest job that runs this one again."}
    )
    batch_id = fields.String(
        allow_none=True, required=True, metadata={"description": "The batch that it was submitted with."}
    )
    schedule_id = fields.String(
        allow_none=True, required=True, metadata={"description": "The schedule that has submitted it."}
    )
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_files(self, record: JobRecord) -> list[dict[str, Any]]:
        """What the job produced."""
        return [
            {
                "name": file.name,
                "size": file.size,
                "content_type": file.content_type,
                "url": file_url(record.task_id, file.name),
            }
            for file in record.files
        ]

    def get_links(self, record: JobRecord) -> dict[str, str]:
        """What can be done with it in this state."""
        task_id = record.task_id
        links = {"result": result_url(task_id), "events": events_url(task_id), "logs": logs_url(task_id)}
        return links | ({"retry": retry_url(task_id)} if record.state.ready else {"cancel": cancel_url(task_id)})


class AdminResultSchema(ResultSchema):
    """With what only an admin may see."""

    owner = fields.String()
    traceback = fields.String(allow_none=True)


class MissingResultSchema(ProblemSchema):
    """In the place of a job that is unknown (404) or whose result has expired (410)."""

    task_id = fields.String(required=True)


class ResultListSchema(Schema):
    """An entry for each id, in the order asked."""

    results = fields.List(
        fields.Raw(
            metadata={
                "anyOf": [{"$ref": "#/components/schemas/Result"}, {"$ref": "#/components/schemas/MissingResult"}]
            }
        ),
        required=True,
    )


class JobPageSchema(Schema):
    """Jobs, newest first."""

    jobs = fields.List(fields.Nested(ResultSchema), required=True)
    next = fields.String(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )
