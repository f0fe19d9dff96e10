"""Streams of server-sent events in the OpenAPI document; before version 3.2 it has no words of its own for them."""

from collections.abc import Mapping
from typing import Any

_EXAMPLE = """\
retry: 2000

id: 2
event: progress
data: {"at": "2026-11-27T09:00:00.000Z", "current": 1, "total": 2, "message": "halfway"}

"""


def event_stream_schema(events: Mapping[str, str]) -> dict[str, Any]:
    """Of the stream as text. ``events``: the component that is each event's data, by the event's name."""
    return {
        "type": "string",
        "description": "Server-sent events. The data of each is one JSON object, of the schema that x-events has for "
        "its name. All but `error` have an id.",
        "examples": [_EXAMPLE],
        "x-events": {
            name: {"$ref": f"#/components/schemas/{component}"}
            for name, component in {**events, "error": "Problem"}.items()
        },
    }
