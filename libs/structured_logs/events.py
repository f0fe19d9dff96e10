"""Log lines of which there is one for each request: an event with its fields, made without structlog's processors."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def log_event(logger: logging.Logger, event: str, fields: Mapping[str, Any]) -> None:
    """Log an event of level INFO. Its line does not say where in the code it came from.

    To formatters of this package's and of structlog's it is what structlog's own logger would have handed them.
    """
    record = logging.LogRecord(logger.name, logging.INFO, "", 0, "", None, None)
    moment = datetime.fromtimestamp(record.created, UTC).isoformat()
    record.msg = {  # as structlog has it there
        **fields,
        "event": event,
        "time": f"{moment.removesuffix('+00:00')}Z",
        "level": "info",
        "logger": logger.name,
    }
    record.__dict__.update(is_event=True, _logger=logger, _name="info")
    logger.handle(record)


def event_json(record: logging.LogRecord) -> str:
    """The event's line, with its name as ``message``."""
    fields: Mapping[str, Any] = record.msg  # type: ignore[assignment]
    return _encode({**{name: value for name, value in fields.items() if name != "event"}, "message": fields["event"]})
