"""How times are written."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from flask import g
from marshmallow import fields

_MINUTE = timedelta(minutes=1)


class UtcDateTime(fields.AwareDateTime):
    """RFC 3339 in UTC with Z, to the millisecond."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else _written(value)


class JobDateTime(UtcDateTime):
    """The same in the time zone that the request wants (``?tz=``), with its offset."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else job_time(value)


def job_time(moment: datetime) -> str:
    """As :class:`JobDateTime` writes it."""
    zone = g.get("zone")
    return _written(moment if zone is None else in_zone(moment, zone))


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """The same moment as RFC 3339 can write it, which has offsets of whole minutes and the years 1 to 9999."""
    try:
        local = moment.astimezone(zone)
        offset = local.utcoffset() or timedelta()
        if offset % _MINUTE:  # that of a place, before there were zones
            local = moment.astimezone(timezone(offset // _MINUTE * _MINUTE))
    except OverflowError:
        return moment
    return local
