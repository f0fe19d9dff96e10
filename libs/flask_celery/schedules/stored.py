"""Schedules as redbeat writes them, with this library's cron beside redbeat's kinds.

What stands in a schedule's hash under ``definition`` and ``meta`` is redbeat's own, so that its tools and its Python
API read and write schedules here.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery.schedules import BaseSchedule, crontab, maybe_schedule
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder

from libs.flask_celery.schedules.cron import Cron

_KIND = "cron"


class ScheduleEncoder(RedBeatJSONEncoder):  # type: ignore[misc]
    """JSON of definitions."""

    def default(self, obj: Any) -> Any:
        """What JSON has no form for."""
        if isinstance(obj, Cron):
            return {
                "__type__": _KIND,
                "expression": obj.expression,
                "timezone": obj.timezone,
                "both_days": obj.both_days,
            }
        return super().default(obj)


class ScheduleDecoder(RedBeatJSONDecoder):  # type: ignore[misc]
    """And back."""

    def dict_to_object(self, d: dict[str, Any]) -> Any:
        """Raises: CronError, for a time zone that is not known any more."""
        if d.get("__type__") == _KIND:
            return Cron(d["expression"], d["timezone"], both_days=d["both_days"])
        return super().dict_to_object(d)


def write_json(value: Mapping[str, Any]) -> str:
    """A definition, or redbeat's ``meta``."""
    return json.dumps(value, cls=ScheduleEncoder)


def read_json(text: str | bytes) -> dict[str, Any]:
    """Raises: ValueError, TypeError, KeyError, when it is none."""
    value: dict[str, Any] = json.loads(text, cls=ScheduleDecoder)
    return value


def as_timing(value: Any, timezone: str) -> BaseSchedule:
    """What ``beat_schedule`` says under ``schedule``.

    Celery's kinds: seconds, a timedelta, a crontab on the clock of ``timezone``, and the like. Beside them a
    :class:`Cron`, its expression as text, or ``{"cron": …, "timezone": …}``, so that it can stand in the environment.
    Raises: CronError.
    """
    if isinstance(value, Mapping):
        return Cron(value["cron"], value.get("timezone", timezone))
    if isinstance(value, str):
        return Cron(value, timezone)
    if isinstance(value, crontab):
        return Cron.of_crontab(value, timezone)
    timing: BaseSchedule = maybe_schedule(value)
    return timing


def last_run(meta: Mapping[str, Any]) -> datetime | None:
    """From redbeat's ``meta``."""
    moment = meta.get("last_run_at")
    return moment if isinstance(moment, datetime) else None
