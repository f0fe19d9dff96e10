"""Redis's own words: messages and records as they lie there, made comparable between two runs."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

from tests.against_stock.systems import System

#: Celery's "Task message protocol 2", and kombu's envelope of its virtual transports.
ENVELOPE = {"body", "content-encoding", "content-type", "headers", "properties"}
HEADERS = {
    *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit"),
    *("root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"),
    *("stamped_headers", "stamps"),
}
PROPERTIES = {
    *("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority", "body_encoding", "delivery_tag"),
}
EMBED = {"callbacks", "errbacks", "chain", "chord"}

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ORIGIN = re.compile(r"^gen\d+@.+$")


def raw_messages(system: System, queue: str = "kept") -> list[str]:
    """What waits, oldest first: in the queue's lists, and here in the place of those that are not due."""
    lists = [name for name in system.broker.scan_iter(match=f"{queue}*") if system.broker.type(name) == "list"]
    waiting = [text for name in sorted(lists) for text in reversed(system.broker.lrange(name, 0, -1))]
    delayed = system.broker.hvals("taskgate-delayed-messages")
    return waiting + [text.split("\n", 3)[3] for text in delayed if text.split("\n", 3)[1] == queue]


def opened(raw: str) -> dict[str, Any]:
    """A message with its body as data."""
    message: dict[str, Any] = json.loads(raw)
    body = base64.b64decode(message["body"])
    if message["headers"].get("compression") == "application/x-gzip":
        body = zlib.decompress(body)
    message["body"] = json.loads(body)
    assert set(message) == ENVELOPE
    return message


def without_ours(message: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The message without the headers that are ours, and these."""
    ours = {name: value for name, value in message["headers"].items() if name.startswith("taskgate")}
    headers = {name: value for name, value in message["headers"].items() if name not in ours}
    return {**message, "headers": headers}, ours


def comparable(data: Any, *, volatile: tuple[str, ...] = ()) -> Any:
    """With ids by the order in which they come up, and a word in the place of what no two runs have in common."""
    numbers: dict[str, str] = {}
    text = json.dumps(_masked(data, {"origin", *volatile}), sort_keys=True)
    return json.loads(_UUID.sub(lambda found: numbers.setdefault(found[0], f"id {len(numbers)}"), text))


def _masked(data: Any, volatile: set[str]) -> Any:
    if isinstance(data, list):
        return [_masked(item, volatile) for item in data]
    if not isinstance(data, dict):
        return data
    if isinstance(data.get("origin"), str):
        assert _ORIGIN.match(data["origin"]), data["origin"]
    return {
        name: f"some {type(value).__name__}" if name in volatile else _masked(value, volatile)
        for name, value in data.items()
    }
