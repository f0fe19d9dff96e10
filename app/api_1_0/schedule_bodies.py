"""From what a client has sent to a schedule that can be kept, or to messages by field."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from celery.schedules import BaseSchedule
from celery.schedules import schedule as Interval  # noqa: N812 - a class, in lower case in Celery
from flask import current_app, g
from marshmallow import ValidationError

from config import Config
from libs.flask_celery import Cron, CronError, InvalidParamsError, Schedule, UnknownTaskError, describe, job_spec

#: Due times of a cron that are looked at: the nearest two of them must not be too near.
_LOOKED_AT = 60


def new_schedule(body: Mapping[str, Any], owner: str) -> Schedule:
    """From a loaded ``NewScheduleSchema``. Raises: ValidationError."""
    schedule = Schedule(
        id="",
        task=body["task"],
        timing=_timing(body, None),
        params=body["params"],
        options=_options(body, {}),
        enabled=body["enabled"],
        owner=owner,
        name=body["name"],
    )
    _check_job(schedule)
    return schedule


def changed_schedule(schedule: Schedule, body: Mapping[str, Any]) -> tuple[Schedule, bool]:
    """From a loaded ``ScheduleChangeSchema``.

    Returns: the schedule as it is to be, and whether its next due time is counted from now: its timing is another
        one, or it was paused.
    Raises: ValidationError.
    """
    changed = replace(
        schedule,
        timing=_timing(body, schedule.timing),
        params=body.get("params", schedule.params),
        options=_options(body, schedule.options),
        enabled=body.get("enabled", schedule.enabled),
        name=body.get("name", schedule.name),
    )
    _check_job(changed)
    return changed, changed.timing != schedule.timing or changed.enabled != schedule.enabled


def _timing(body: Mapping[str, Any], present: BaseSchedule | None) -> BaseSchedule:
    if "cron" in body and "every" in body:
        raise ValidationError({"every": ["Give either cron or every."]})
    zone = body.get("timezone") or getattr(present, "timezone", None) or _config().timezone.key
    if "every" in body:
        return _far_enough(Interval(timedelta(seconds=body["every"])), timedelta(seconds=body["every"]), "every")
    expression = body.get("cron") or getattr(present, "expression", None)
    if expression is None and present is None:
        raise ValidationError({"cron": ["Give cron or every."]})
    if expression is None:
        if "timezone" in body:
            raise ValidationError({"timezone": ["What comes every so many seconds has no time zone."]})
        return present
    try:
        timing = Cron(expression, zone)
    except CronError as error:
        field = "timezone" if "time zone" in str(error) else "cron"
        raise ValidationError({field: [str(error)]}) from error
    # By the clock on the wall: what a change of clocks moves together is no matter of the schedule's.
    times = islice(Cron(expression).times_after(datetime.now(UTC)), _LOOKED_AT)
    return _far_enough(timing, min((b - a for a, b in pairwise(times)), default=timedelta.max), "cron")


def _far_enough(timing: BaseSchedule, interval: timedelta, field: str) -> BaseSchedule:
    least = timedelta(seconds=_config().schedule_min_interval)
    if interval < least:
        seconds = f"{least.total_seconds():,.0f}"
        raise ValidationError({field: [f"From one due time to the next it must be {seconds} s or more."]})
    return timing


def _options(body: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    given = {**present, **{name: body[name] for name in ("queue", "priority") if name in body}}
    return {name: value for name, value in given.items() if value is not None}


def _check_job(schedule: Schedule) -> None:
    """Its task must be there, take these params from the schedule's owner, and allow the queue."""
    celery_app = current_app.extensions["celery"]
    try:
        spec = job_spec(celery_app, schedule.task)
    except UnknownTaskError as error:
        raise ValidationError({"task": ["There is no such task. GET tasks lists what there is."]}) from error
    queues = describe(celery_app, spec).queues
    if schedule.options.get("queue", queues[0]) not in queues:
        raise ValidationError({"queue": [f"This task takes: {', '.join(queues)}."]})
    caller, g.principal = g.principal, schedule.owner
    try:
        spec.load_body(schedule.params)
    except InvalidParamsError as error:
        raise ValidationError({"params": error.messages}) from error
    finally:
        g.principal = caller


def _config() -> Config:
    config: Config = current_app.config["TASKGATE"]
    return config
