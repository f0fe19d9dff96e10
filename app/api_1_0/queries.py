"""What the API takes in the query, as marshmallow schemas."""

from datetime import timedelta

from marshmallow import Schema, fields, validate

from app.api_1_0.polling import LONGEST_WAIT
from libs.flask_celery import JobState

#: Jobs in one poll. As many ids of the length and the characters below fit into a request line as gunicorn takes it.
MOST_RESULTS = 100


class JobPageQuery(Schema):
    """Which of one's jobs."""

    task = fields.String(validate=validate.Length(min=1, max=255))
    state = fields.Enum(JobState, by_value=True)
    since = fields.AwareDateTime(metadata={"description": "Submitted at this time or later."})
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Length(min=1, max=512))


class SubmitQuery(Schema):
    """When a job is to run: at once, or not before what is given; with both, not before the later one."""

    delay = fields.Float(
        validate=validate.Range(0, timedelta(days=3_653).total_seconds()),
        metadata={"description": "Not before so many seconds from now; ten years at the most."},
    )
    at = fields.AwareDateTime(metadata={"description": "Not before this time (RFC 3339, with its offset)."})


class PollQuery(Schema):
    """For how long the request may be held."""

    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, LONGEST_WAIT),
        metadata={
            "description": "Hold the answer for up to so many seconds, until it differs from what `If-None-Match` "
            "names; without that, until a job has become final."
        },
    )


class ResultListQuery(PollQuery):
    """Which jobs."""

    task_id = fields.List(
        fields.String(validate=[validate.Length(1, 64), validate.Regexp(r"^[A-Za-z0-9._~-]+$(?!\n)")]),
        required=True,
        validate=validate.Length(1, MOST_RESULTS),
        metadata={"description": "What the submissions answered; once for each job."},
    )


class CancelQuery(Schema):
    """How to cancel."""

    terminate = fields.Boolean(
        load_default=False,
        metadata={"description": "Have the job's process ended, instead of waiting for its next progress call."},
    )
