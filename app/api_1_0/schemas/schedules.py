"""Schedules: what clients send and what they are shown."""

from typing import Any

from celery.schedules import schedule as Interval  # noqa: N812 - a class, in lower case in Celery
from marshmallow import Schema, ValidationError, fields, validate

from app.api_1_0.links import result_url, schedule_url
from app.api_1_0.schemas.times import UtcDateTime
from app.api_1_0.zones import zone_names
from app.jobs.fields import WholeNumber
from libs.flask_celery import Cron, Schedule, ScheduleSource

#: Due times that are shown.
SHOWN_RUNS = 5

#: Ten years.
_LONGEST_INTERVAL = 315_360_000


class Truth(fields.Boolean):
    """JSON's true and false, and nothing else that could be taken for one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not true or false.")
        return value


def _cron() -> fields.String:
    return fields.String(
        validate=validate.Length(1, 200),
        metadata={
            "description": "Minute, hour, day of month, month, day of week, by the clock of `timezone`. A time that "
            "the change to summer time leaves out comes right after it; one that the change back repeats comes once.",
            "examples": ["0 10,17 * * *"],
        },
    )


def _every() -> WholeNumber:
    return WholeNumber(
        validate=validate.Range(1, _LONGEST_INTERVAL),
        metadata={"description": "Seconds from one due time to the next; the first is so long from now."},
    )


def _timezone() -> fields.String:
    return fields.String(validate=[validate.Length(1, 64), _check_zone], metadata={"examples": ["Asia/Shanghai"]})


def _check_zone(name: str) -> None:
    """Files beside the database's names too can be read as zones: the server's own, some that count leap seconds."""
    if name not in zone_names():
        raise ValidationError("Not a time zone. Give a name such as Europe/Berlin.")


def _name(**options: Any) -> fields.String:
    return fields.String(validate=validate.Length(1, 100), allow_none=True, **options)


def _queue(**options: Any) -> fields.String:
    described = {"description": "Where its jobs wait: the task's own queue, or another one that the task allows."}
    return fields.String(validate=validate.Length(1, 255), allow_none=True, metadata=described, **options)


def _priority(**options: Any) -> WholeNumber:
    return WholeNumber(validate=validate.Range(0, 9), allow_none=True, **options)


class NewScheduleSchema(Schema):
    """A schedule to be made: ``cron``, or ``every``."""

    task = fields.String(required=True, validate=validate.Length(1, 255), metadata={"examples": ["maintenance.adds"]})
    params = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Those of the task.", "examples": [{"a": 1, "b": 2}]},
    )
    cron = _cron()
    every = _every()
    timezone = _timezone()
    name = _name(load_default=None)
    enabled = Truth(load_default=True)
    queue = _queue(load_default=None)
    priority = _priority(load_default=None)


class ScheduleChangeSchema(Schema):
    """What is to be another; what is not named stays."""

    params = fields.Dict(keys=fields.String())
    cron = _cron()
    every = _every()
    timezone = _timezone()
    name = _name()
    enabled = Truth(metadata={"description": "false pauses it. Of what falls due meanwhile nothing is run later."})
    queue = _queue()
    priority = _priority()


class ScheduleSchema(Schema):
    """A schedule, when it runs next, and what came of it last."""

    id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    task = fields.String(required=True)
    params = fields.Dict(keys=fields.String(), required=True)
    cron = fields.Function(
        lambda schedule: schedule.timing.expression if isinstance(schedule.timing, Cron) else None,
        required=True,
        metadata={"type": ["string", "null"]},
    )
    every = fields.Method(
        "get_every",
        required=True,
        metadata={"type": ["number", "null"], "description": "Seconds."},
    )
    timezone = fields.Function(
        lambda schedule: getattr(schedule.timing, "timezone", None),
        required=True,
        metadata={"type": ["string", "null"], "description": "null where it does not matter: every so many seconds."},
    )
    enabled = fields.Boolean(required=True)
    queue = fields.Function(
        lambda schedule: schedule.options.get("queue"), required=True, metadata={"type": ["string", "null"]}
    )
    priority = fields.Function(
        lambda schedule: schedule.options.get("priority"), required=True, metadata={"type": ["integer", "null"]}
    )
    source = fields.Enum(
        ScheduleSource, by_value=True, required=True, metadata={"description": "One in `code` is changed there only."}
    )
    owner = fields.Function(
        lambda schedule: schedule.owner or None, required=True, metadata={"type": ["string", "null"]}
    )
    next_runs = fields.Method(
        "get_next_runs",
        required=True,
        metadata={
            "type": "array",
            "items": {"type": "string", "format": "date-time"},
            "description": f"The next {SHOWN_RUNS} due times. The first one has passed when beat is late or away.",
        },
    )
    last_run_at = fields.Method("get_last_run_at", required=True, metadata={"type": ["string", "null"]})
    last_task_id = fields.String(required=True, allow_none=True)
    missed_at = UtcDateTime(
        attribute="missed",
        required=True,
        allow_none=True,
        metadata={"description": "The last due time that was passed over, beat having been away for too long."},
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why its last turn has submitted no job."}
    )
    created_at = UtcDateTime(required=True, allow_none=True)
    updated_at = UtcDateTime(required=True, allow_none=True)
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_every(self, schedule: Schedule) -> float | None:
        """As it was sent: one of the API's is a whole number."""
        if not isinstance(schedule.timing, Interval):
            return None
        seconds: float = schedule.timing.run_every.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds

    def get_next_runs(self, schedule: Schedule) -> list[str | None]:
        """Soonest first; none of one that is paused."""
        return [_shown(time) for time in schedule.next_runs(SHOWN_RUNS)]

    def get_last_run_at(self, schedule: Schedule) -> str | None:
        """When its last job was submitted by beat."""
        return None if schedule.last_run_at is None else _shown(schedule.last_run_at)

    def get_links(self, schedule: Schedule) -> dict[str, str]:
        """Where it is, where to run it at once, and what came of it last."""
        address = schedule_url(schedule.id)
        links = {"self": address, "run": f"{address}/run"}
        return links | {"last_result": result_url(schedule.last_task_id)} if schedule.last_task_id else links


class SchedulePageSchema(Schema):
    """Schedules: on the first page those in code, by name, then one's own, newest first."""

    schedules = fields.List(fields.Nested(ScheduleSchema), required=True)
    next = fields.String(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )


def _shown(moment: Any) -> str | None:
    return UtcDateTime()._serialize(moment, None, None)
