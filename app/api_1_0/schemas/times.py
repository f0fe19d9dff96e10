"""How times are written."""

from typing import Any

from marshmallow import fields


class UtcDateTime(fields.AwareDateTime):
    """RFC 3339 in UTC with Z, to the millisecond."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
