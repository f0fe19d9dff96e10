"""A job's message, kept beside its record: what puts a job back in its queue whose message was lost, and what runs
a final job again.

The copy is the message without what protocol 2 always says the same way, as a JSON array of its queue, task, id,
body, other headers, facts and properties. The body is the params as they are where it says nothing else, which is a
third of what the message takes for them. ``expanded`` puts all of it back. It reads what earlier versions have
written too: an object with the whole body and the names of what is in it.
"""

import base64
import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from typing import Any

from kombu.compression import decompress
from kombu.serialization import dumps as serialize
from kombu.serialization import loads as deserialize
from kombu.serialization import prepare_accept_content
from kombu.utils.json import JSONEncoder, loads

from libs.flask_celery.facts import HEADER, HIDDEN, SubmissionFacts
from libs.kept_encoder import kept

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

#: Those where params are hidden, as submitting a job hides them.
_USUAL = {**_USUAL_HEADERS, **HIDDEN}

#: The facts (``facts``) by their place in a copy.
_FACTS = ("submitted_at", "owner", "request_id", "locale", "traceparent", "batch_id", "deadline", "retry_of")
_places = attrgetter(*_FACTS)

#: Around the params of a serialised body that says nothing else.
BODY_START = "[[], "
BODY_END = ', {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'

#: Names, among the properties of a copy, those that its message has not got.
_WITHOUT = "without"

#: JSON without the spaces that nobody needs.
compact = kept(JSONEncoder(separators=(",", ":")))


def compacted(message: Mapping[str, Any], queue: str, params: str | None = None) -> str:
    """The copy of a message as kombu's virtual transports put it in ``queue``.

    Args:
        params: as JSON, of a message whose body says nothing else; found out from the body when None.
    """
    headers, properties = message["headers"], dict(message["properties"])
    task_id = headers["id"]
    if properties.get("correlation_id") == task_id:
        del properties["correlation_id"]
    properties.pop("delivery_tag", None)
    if properties.get("delivery_info") == _delivery_info(queue):
        del properties["delivery_info"]
    usual = _usual_properties(headers)
    kept_properties = {name: value for name, value in properties.items() if usual.get(name, _MISSING) != value}
    if without := [name for name in HIDDEN if name in usual and name not in properties]:
        kept_properties[_WITHOUT] = without
    if message["content-type"] != "application/json" or message["content-encoding"] != "utf-8":
        kept_properties["content"] = [message["content-type"], message["content-encoding"]]
    kept = {
        name: value
        for name, value in headers.items()
        if name not in ("id", "task") and _USUAL.get(name, _MISSING) != value
    }
    if kept.get("root_id") == task_id:
        del kept["root_id"]
    facts = facts_as_kept(kept.pop(HEADER, None))
    said = params or _params_of(message) or compact(message["body"])
    head, rest = compact([queue, headers["task"], task_id])[:-1], compact([kept, facts, kept_properties])[1:]
    return f"{head},{said},{rest}"


def expanded(copy: str | bytes) -> tuple[dict[str, Any], str]:
    """The message, but for its delivery tag, and its queue."""
    kept = loads(copy.decode() if isinstance(copy, bytes) else copy)
    if isinstance(kept, dict):
        return _expanded_of_old(kept)
    queue, task, task_id, _, kept_headers, facts, kept_properties = kept
    said = json.loads(copy)[3]  # as it was sent: kombu reads more in some objects than JSON does
    headers = {**_USUAL, "root_id": task_id, "task": task, "id": task_id, **kept_headers}
    if facts is not None:
        headers[HEADER] = (
            {name: fact for name, fact in zip(_FACTS, facts, strict=False) if fact is not None}
            if isinstance(facts, list)
            else facts
        )
    properties = {
        "correlation_id": task_id,
        "delivery_info": _delivery_info(queue),
        **_usual_properties(headers),
        **kept_properties,
    }
    content_type, content_encoding = properties.pop("content", None) or ("application/json", "utf-8")
    for name in properties.pop(_WITHOUT, ()):
        del properties[name]
    message = {
        "body": said if isinstance(said, str) else _encoded(f"{BODY_START}{json.dumps(said)}{BODY_END}"),
        "content-encoding": content_encoding,
        "content-type": content_type,
        "headers": headers,
        "properties": properties,
    }
    return message, queue


def _expanded_of_old(kept: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
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


def _usual_properties(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was said to hide the params from whoever looks on, Celery puts among the properties too."""
    hides = all(headers.get(name) == value for name, value in HIDDEN.items())
    return {**_USUAL_PROPERTIES, **HIDDEN} if hides else _USUAL_PROPERTIES


def facts_as_kept(facts: Any) -> Any:
    """A message's facts as its copy has them: by their places where there are no others."""
    if not isinstance(facts, Mapping) or not facts.keys() <= set(_FACTS) or None in facts.values():
        return facts
    places = [facts.get(name) for name in _FACTS]
    while places and places[-1] is None:
        places.pop()
    return places


def facts_in_copy(facts: SubmissionFacts) -> str:
    """The text of that, where they need not be taken from a header."""
    if facts.schedule_id or facts.due_at:
        return compact(facts_as_kept(facts.to_header()))
    places = [*_places(facts)]
    while places and not places[-1]:
        places.pop()
    return f"[{','.join([quoted(one) if isinstance(one, str) and one else str(one or 'null') for one in places])}]"


def _params_of(message: Mapping[str, Any]) -> str | None:
    """The params as they stand in a body that says nothing else."""
    properties, body = message["properties"], message["body"]
    if properties.get("body_encoding") != "base64" or message["content-type"] != "application/json":
        return None
    if message["headers"].get("compression"):
        return None
    payload = base64.b64decode(body)
    if not payload.startswith(f"{BODY_START}{{".encode()) or not payload.endswith(f"}}{BODY_END}".encode()):
        return None
    return payload[len(BODY_START) : -len(BODY_END)].decode()


def message_of(
    headers: Mapping[str, Any], properties: Mapping[str, Any], body: Any, serializer: str
) -> dict[str, Any]:
    """A message as the virtual transports have it, of one that goes to another kind of broker."""
    content_type, content_encoding, payload = serialize(body, serializer=serializer)
    raw = payload.encode() if isinstance(payload, str) else payload
    return {
        "body": _encoded(raw),
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


def _encoded(payload: str | bytes) -> str:
    return base64.b64encode(payload.encode() if isinstance(payload, str) else payload).decode()


def _delivery_info(queue: str) -> dict[str, str]:
    return {"exchange": "", "routing_key": queue}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
