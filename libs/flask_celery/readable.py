"""Whether a message can be read: all that Celery and kombu take for granted, so that none can end a worker."""

from collections.abc import Mapping
from typing import Any

from celery.exceptions import InvalidTaskError


def check_envelope(payload: Any) -> None:
    """Of a message as kombu's virtual transports have it. Raises: ValueError, TypeError, KeyError."""
    body, properties, headers = payload["body"], payload["properties"], payload["headers"]
    properties["delivery_info"]["exchange"]
    if not isinstance(body, str) or not isinstance(headers, dict):
        raise TypeError("Its body is no text, or its headers are no object.")
    if properties.get("body_encoding") not in (None, "base64", "utf-8"):
        raise ValueError("Its body is encoded in a way that is not known.")


def check_task(message: Any) -> None:
    """Of a message of protocol 2. Raises: InvalidTaskError, or anything else that reading its body raises."""
    headers: Mapping[str, Any] = message.headers
    if not isinstance(headers["id"], str) or not headers["id"]:
        raise InvalidTaskError("Its id is no text.")
    limits = headers.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list | tuple) and len(limits) == 2 and all(map(_is_time, limits))
    ):
        raise InvalidTaskError("Its time limits are no pair of numbers.")
    if not isinstance(headers.get("stamped_headers") or [], list | tuple):
        raise InvalidTaskError("Its stamped headers are no list.")
    for name in ("retries", "replaced_task_nesting"):
        if not isinstance(headers.get(name) or 0, int):
            raise InvalidTaskError(f"Its {name} are no number.")
    args, kwargs, _ = message.payload  # decoded once; Celery uses it, too
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        raise InvalidTaskError("Its arguments are no list and no object.")


def _is_time(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and value >= 0)
