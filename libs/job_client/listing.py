"""Lists that come in pages, item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import requests
from .flow import Emit, Flow
from .reading import log_line_of, read_object
from .sending import Terms, send


def listed(
    terms: Terms, path: str, member: str, read: Callable[[Mapping[str, Any]], Any], **query: object
) -> Flow[None]:
    """Emits each; the next page is asked for when this one has been taken."""
    cursor = None
    while True:
        data = read_object((yield from send(terms, requests.page(path, cursor=cursor, limit=100, **query))).reply)
        for one in data[member]:
            yield Emit(read(one))
        cursor = data["next"]
        if cursor is None:
            return


def logged(terms: Terms, task_id: str, after: int) -> Flow[None]:
    """Emits the lines that there are now, the oldest first."""
    while True:
        data = read_object((yield from send(terms, requests.logs(task_id, after))).reply)
        for line in data["lines"]:
            yield Emit(log_line_of(line))
        if not data["lines"] or data["next"] is None:
            return
        after = data["next"]
