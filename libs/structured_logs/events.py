"""Log lines of which there is one for each request: an event with its fields, made without structlog's processors."""

import json
import logging
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, cast

from libs.kept_encoder import kept

_encode = kept(json.JSONEncoder(ensure_ascii=False, default=str))

#: What stands first in a line of text, without its name.
_FIRST = frozenset({"event", "level", "logger", "time"})

#: In a value it would be taken for what separates values.
_SEPARATING = re.compile(r"""[ \t\r\n='"]""")


def log_event(logger: logging.Logger, event: str, fields: Mapping[str, Any]) -> None:
    """Log an event of level INFO. Its line does not say where in the code it came from, nor from which thread.

    To formatters of this package's and of structlog's it is what structlog's own logger would have handed them.
    """
    record, nanoseconds = logging.LogRecord.__new__(logging.LogRecord), time.time_ns()
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    # As ``LogRecord`` has it, which asks for the thread, the process and the file each time.
    record.__dict__ |= _alike(logger.name)
    record.__dict__ |= {
        "created": nanoseconds / 1e9,
        "msecs": fraction / 1e6,
        "_logger": logger,
        "msg": {  # as structlog has it there
            **fields,
            "event": event,
            "time": f"{_second(seconds)}.{fraction // 1000:06}Z",
            "level": "info",
            "logger": logger.name,
        },
    }
    logger.handle(record)


def event_json(record: logging.LogRecord) -> str:
    """The event's line, with its name as ``message``."""
    fields = dict(cast("Mapping[str, Any]", record.msg))
    fields["message"] = fields.pop("event")
    return _encode(fields)


def event_text(record: logging.LogRecord) -> str:
    """The same as text for people, letter by letter as structlog's ConsoleRenderer has it without colours.

    That looks at each letter of each value (structlog/dev.py, ``_repr``) and takes four times as long.
    """
    fields = cast("Mapping[str, Any]", record.msg)
    values = " ".join([f"{name}={_legible(fields[name])}" for name in sorted(fields) if name not in _FIRST])
    level = f"{fields['level']:9}"  # as wide as the longest, "exception"
    return f"{fields['time']} [{level}] {fields['event']} [{fields['logger']}] {values}".rstrip(" ")


def _legible(value: Any) -> str:
    return value if isinstance(value, str) and not _SEPARATING.search(value) else repr(value)


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """A second, in which many events may be."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


@cache
def _alike(name: str) -> Mapping[str, Any]:
    """What all events of a logger have in common."""
    record = logging.LogRecord(name, logging.INFO, "", 0, "", None, None)
    return {
        **record.__dict__,
        "thread": None,
        "threadName": None,
        "taskName": None,
        "is_event": True,
        "_name": "info",
    }
