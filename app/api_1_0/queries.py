"""What the API takes in the query, as marshmallow schemas."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.api_1_0.polling import LONGEST_WAIT
from app.api_1_0.schemas import WebhookUrl
from app.api_1_0.zones import ZoneQuery
from libs.flask_celery import JobState

#: Jobs in one poll. As many ids of the length and the characters below fit into a request line as gunicorn takes it.
MOST_RESULTS = 100


#: Ten years.
LONGEST_TIME = timedelta(days=3_653).total_seconds()

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class SecondsOrTime(fields.Field[float | datetime]):
    """A number of seconds, ten years at the most, or a time with its offset."""

    def __init__(self, *, metadata: Mapping[str, Any]) -> None:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_TIME}
        super().__init__(metadata={**metadata, "anyOf": [number, {"type": "string", "format": "date-time"}]})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> float | datetime:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = repr(value)
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            moment: datetime = fields.AwareDateTime(error_messages=_NO_TIME).deserialize(value, attr, data)
            return moment
        seconds = float(value)
        if not 0 < seconds <= LONGEST_TIME:
            raise ValidationError(f"Must be more than 0 seconds and {LONGEST_TIME:,.0f} at the most.")
        return seconds


_NO_TIME: dict[str, Any] = dict.fromkeys(
    ("invalid", "invalid_awareness", "format"), "Not a number of seconds, nor a time with its offset (RFC 3339)."
)


class JobPageQuery(ZoneQuery):
    """Which of one's jobs."""

    task = fields.String(validate=validate.Length(min=1, max=255))
    state = fields.List(
        fields.Enum(JobState, by_value=True),
        validate=validate.Length(1, len(JobState)),
        metadata={"description": "Once for each state."},
    )
    since = fields.AwareDateTime(metadata={"description": "Submitted at this time or later."})
    until = fields.AwareDateTime(metadata={"description": "Submitted before this time."})
    owner = fields.String(
        validate=validate.Length(1, 255), metadata={"description": "Somebody else's: for admins only."}
    )
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Length(min=1, max=512))


class DeadLetterQuery(ZoneQuery):
    """Which dead letters."""

    task = fields.String(validate=validate.Length(1, 255))
    since = fields.AwareDateTime(metadata={"description": "Failed at this time or later."})
    owner = fields.String(
        validate=validate.Length(1, 255), metadata={"description": "Somebody else's: for admins only."}
    )
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Length(1, 512))


class WishesSchema(Schema):
    """When a job is to run, at once or not before what is given (with `delay` and `at`, the later one), and how."""

    delay = fields.Float(
        validate=validate.Range(0, LONGEST_TIME),
        metadata={"description": "Not before so many seconds from now; ten years at the most."},
    )
    at = fields.AwareDateTime(metadata={"description": "Not before this time (RFC 3339, with its offset)."})
    priority = fields.Integer(
        validate=validate.Range(0, 9),
        metadata={"description": "0 is the most urgent; jobs of 0 to 2, 3 to 5, 6 to 8 and 9 queue together."},
    )
    expires = SecondsOrTime(
        metadata={"description": "Unstarted after so many seconds, or at this time, it is REVOKED."}
    )
    queue = fields.String(
        validate=validate.Length(1, 255), metadata={"description": "One of the queues that the task names."}
    )


class SubmitQuery(WishesSchema, ZoneQuery):
    """What a submission may ask for, and who is told of the job's end."""

    webhook = WebhookUrl(metadata={"description": "Where the job's end is told; instead of the key's own."})


def submit_query(queues: Sequence[str]) -> type[SubmitQuery]:
    """The same for a task that may wait in these queues."""
    queue = fields.String(
        validate=validate.OneOf(queues), metadata={"description": f"Where it waits, {queues[0]} when not said."}
    )
    return type("SubmitQuery", (SubmitQuery,), {"queue": queue})


class PollQuery(ZoneQuery):
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


class BatchQuery(PollQuery):
    """Which of a batch's jobs to show beside it."""

    state = fields.Enum(JobState, by_value=True, metadata={"description": "Jobs in this state alone."})
    limit = fields.Integer(
        load_default=20, validate=validate.Range(0, 100), metadata={"description": "Jobs of one page; 0 for none."}
    )
    cursor = fields.Integer(
        validate=validate.Range(0, 1_000_000), metadata={"description": "The page before's `next`."}
    )


class BatchSubmitQuery(ZoneQuery):
    """Who is told of the ends of its jobs."""

    webhook = WebhookUrl(metadata={"description": "Where each job's end is told; instead of the key's own."})


class BatchPageQuery(ZoneQuery):
    """Which of one's batches."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Regexp(r"^[0-9]{1,15}-[0-9A-Za-z-]{1,64}$(?!\n)"))


class CancelQuery(ZoneQuery):
    """How to cancel."""

    terminate = fields.Boolean(
        load_default=False,
        metadata={"description": "Have the job's process ended, instead of waiting for its next progress call."},
    )


class WorkerQuery(Schema):
    """How to find the workers."""

    ask = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Ask them over the broker too, which finds those that give no signs, such as a stock "
            "Celery's, and takes one and a half seconds: nobody knows how many there are to wait for."
        },
    )
