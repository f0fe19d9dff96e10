"""A job's message, kept beside its record: what puts a job back in its queue whose message was lost, and what runs
a final job again.

The copy is the message without what protocol 2 always says the same way, about half of it; ``expanded`` puts it
back.
"""

import base64
from collections.abc import Mapping
from typing import Any

from kombu.compression import decompress
from kombu.serialization import dumps as serialize
from kombu.serialization import loads as deserialize
from kombu.serialization import prepare_accept_content
from kombu.utils.json import dumps, loads

#: A task message's headers where nothing special was asked for (Celery's documentation, "Task message protocol 2").
_USUAL_HEADERS: Mapping[str, Any] = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "()",
    "kwargsrepr": "{}",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
_USUAL_PROPERTIES: Mapping[str, Any] = {"reply_to": "", "delivery_mode": 2, "priority": 0, "body_encoding": "base64"}
_MISSING = object()


def compacted(message: Mapping[str, Any], queue: str) -> str:
    """The copy of a message as kombu's virtual transports put it in ``queue``."""
    headers, properties = message["headers"], dict(message["properties"])
    task_id = headers["id"]
    if properties.get("correlation_id") == task_id:
        del properties["correlation_id"]
    properties.pop("delivery_tag", None)
    if properties.get("delivery_info") == _delivery_info(queue):
        del properties["delivery_info"]
    kept = {name: value for name, value in headers.items() if _USUAL_HEADERS.get(name, _MISSING) != value}
    if kept.get("root_id") == task_id:
        del kept["root_id"]
    copy: dict[str, Any] = {
        "queue": queue,
        "body": message["body"],
        "headers": kept,
        "properties": {
            name: value for name, value in properties.items() if _USUAL_PROPERTIES.get(name, _MISSING) != value
        },
    }
    if message["content-type"] != "application/json" or message["content-encoding"] != "utf-8":
        copy["content"] = [message["content-type"], message["content-encoding"]]
    return str(dumps(copy))


def expanded(copy: str | bytes) -> tuple[dict[str, Any], str]:
    """The message, but for its delivery tag, and its queue."""
    kept = loads(copy.decode() if isinstance(copy, bytes) else copy)
    task_id = kept["headers"]["id"]
    content_type, content_encoding = kept.get("content") or ("application/json", "utf-8")
    message = {
        "body": kept["body"],
        "content-encoding": content_encoding,
        "content-type": content_type,
        "headers": {**_USUAL_HEADERS, "root_id": task_id, **kept["headers"]},
        "properties": {
            "correlation_id": task_id,
            "delivery_info": _delivery_info(kept["queue"]),
            **_USUAL_PROPERTIES,
            **kept["properties"],
        },
    }
    return message, kept["queue"]


def message_of(
    headers: Mapping[str, Any], properties: Mapping[str, Any], body: Any, serializer: str
) -> dict[str, Any]:
    """A message as the virtual transports have it, of one that goes to another kind of broker."""
    content_type, content_encoding, payload = serialize(body, serializer=serializer)
    raw = payload.encode() if isinstance(payload, str) else payload
    return {
        "body": base64.b64encode(raw).decode(),
        "content-encoding": content_encoding,
        "content-type": content_type,
        "headers": dict(headers),
        "properties": {name: value for name, value in properties.items() if _is_plain(value)},
    }


def body_of(message: Mapping[str, Any], accept: Any) -> Any:
    """The ``(args, kwargs, embed)`` of a message. ``accept``: as in Celery's setting ``accept_content``.

    Raises: kombu's ContentDisallowed, for another type."""
    payload, compression = payload_of(message), message["headers"].get("compression")
    if compression:
        payload = decompress(payload, compression)
    accepted = prepare_accept_content(accept)
    return deserialize(payload, message["content-type"], message["content-encoding"], accept=accepted)


def payload_of(message: Mapping[str, Any]) -> bytes:
    """The serialised body as it was before the transport encoded it."""
    body: str = message["body"]
    if message["properties"].get("body_encoding", "base64") == "base64":
        return base64.b64decode(body)
    return body.encode()


def _delivery_info(queue: str) -> dict[str, str]:
    return {"exchange": "", "routing_key": queue}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
