"""Streams of server-sent events in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any


def event_schema(events: Mapping[str, str]) -> dict[str, Any]:
    """Of one event of a stream, its fields as properties; its data is JSON in a string.

    OpenAPI before 3.2 does not say what the schema of such an answer is about; readers take it for each event's.

    Args:
        events: the component that each event's data is, by the event's name.
    """
    return {"oneOf": [*(_event(name, component) for name, component in events.items()), _event("error", "Problem")]}


def _event(name: str, component: str) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name,
        "required": ["event", "data", *([] if name == "error" else ["id"])],
        "properties": {
            "event": {"const": name},
            "id": {"type": "string"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"#/components/schemas/{component}"},
            },
        },
    }
