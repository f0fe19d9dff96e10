"""What waits where, and who works it off."""

from marshmallow import Schema, fields

from app.api_1_0.schemas.times import UtcDateTime


def _number(description: str, *, allow_none: bool = False) -> fields.Integer:
    return fields.Integer(required=True, allow_none=allow_none, metadata={"description": description})


class QueueSchema(Schema):
    """A queue."""

    name = fields.String(required=True)
    waiting = _number("Jobs that wait in it.")
    oldest = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Seconds for which the next one has been waiting there; null when none waits."},
    )


class EndedSchema(Schema):
    """How many jobs have ended in each state, since the first one."""

    SUCCESS = _number("Of these the result is there, or was.")
    FAILURE = _number("Of these the error is, or was.")
    REVOKED = _number("Cancelled, expired.")


class PerMinuteSchema(Schema):
    """How fast it goes, by the last minute or so."""

    accepted = fields.Float(required=True)
    ended = fields.Float(required=True)


class ThroughputSampleSchema(Schema):
    """How many jobs there were at a time, since the first one."""

    at = UtcDateTime(required=True)
    accepted = _number("Jobs accepted.")
    ended = _number("Jobs that had ended, in whatever state.")


class QueueListSchema(Schema):
    """The queues and the figures of the deployment as a whole, whichever process is asked."""

    at = UtcDateTime(required=True, metadata={"description": "When, by the clock of Redis."})
    queues = fields.List(
        fields.Nested(QueueSchema),
        required=True,
        allow_none=True,
        metadata={"description": "By name. null, as are the three below, where the broker is not a Redis."},
    )
    held = _number("Jobs that workers have taken.", allow_none=True)
    delayed = _number("Jobs that wait for their time.", allow_none=True)
    rate_limited = _number("Jobs that wait for a turn of a rate limit of all workers.", allow_none=True)
    unfinished = _number("Jobs accepted and not over.")
    oldest_unfinished = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Seconds since the oldest of them was submitted; null when there is none."},
    )
    dead_letters = _number("Failed jobs that can be run again or dropped.")
    accepted = _number("Jobs accepted since the first one.")
    ended = fields.Nested(EndedSchema, required=True)
    per_minute = fields.Nested(
        PerMinuteSchema,
        required=True,
        allow_none=True,
        metadata={"description": "null while no worker has taken a sample yet."},
    )
    history = fields.List(
        fields.Nested(ThroughputSampleSchema),
        required=True,
        metadata={
            "description": "Samples of the last hour, one in 30 seconds while a worker is up, the oldest first."
        },
    )


class WorkerSchema(Schema):
    """A worker that is up."""

    name = fields.String(required=True)
    queues = fields.List(fields.String(), required=True, metadata={"description": "From which it takes jobs."})
    pool = fields.String(required=True, metadata={"description": "How it runs them: prefork, threads, gevent, solo."})
    concurrency = _number("Jobs that it runs at a time.")
    uptime = _number("Seconds.")
    taken = _number("Jobs that it has taken since it is up.")
    running = _number("Jobs that it runs; null of one that gives no signs.", allow_none=True)
    last_sign = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Seconds since its last sign; null of one that gives none and has answered."},
    )


class WorkerListSchema(Schema):
    """The workers that are up, by name."""

    workers = fields.List(fields.Nested(WorkerSchema), required=True)
