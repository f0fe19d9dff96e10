"""``?tz=``: the time zone in which a client wants to read a job's times."""

import re
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from marshmallow import Schema, fields

#: The query argument's name. The zone itself stands in ``g.zone`` for the schemas that write times.
TZ = "tz"

#: The longest name that there is has 32 characters.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


class ZoneField(fields.Field[ZoneInfo]):
    """A name of the IANA time zone database. What is no such name never comes near a file."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads this very attribute
        "unknown": "Not a time zone. Take a name of the IANA time zone database, such as Asia/Shanghai or UTC."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> ZoneInfo:
        if not isinstance(value, str) or not _NAME.fullmatch(value) or value not in zone_names():
            raise self.make_error("unknown")
        return ZoneInfo(value)


class ZoneQuery(Schema):
    """Base of the queries of routes that answer a job's times."""

    tz = ZoneField(
        metadata={
            "allOf": [{"$ref": "#/components/schemas/TimeZone"}],
            "description": "Write the job's times in this time zone (IANA name); UTC when there is none.",
        }
    )


def zone_schema() -> dict[str, Any]:
    """The names for the OpenAPI document, but for those with digits, which generated clients take for each other."""
    names = sorted(name for name in zone_names() if not re.search("[0-9]", name))
    return {"type": "string", "enum": names, "examples": ["Asia/Shanghai"]}


@cache
def zone_names() -> frozenset[str]:
    """Found on disk, once for a process. ``localtime`` is the server's own zone, under no name of the database."""
    return frozenset(available_timezones() - {"localtime"})
