"""The formatter of this product's handlers, for lines of its own and those of every library."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from libs.structured_logs.events import event_json, event_text
from libs.structured_logs.secrets import hide_secrets


def log_formatter(
    style: str,
    context: Callable[[], Mapping[str, Any]],
    *,
    about: Callable[[logging.LogRecord], Mapping[str, Any]] | None = None,
) -> logging.Formatter:
    """A formatter for ``json``, one object a line, or ``text``.

    Args:
        context: what is to be said in every line of the thread or greenlet that writes it, such as a request's id.
        about: what a line of a library's says of itself, beside its text.
    """

    def add_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        record = event.get("_record")
        said = about(record) if about is not None and record is not None else {}
        for name, value in {**said, **context()}.items():
            event.setdefault(name, value)
        return event

    shared: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        add_context,
    ]
    rendering: list[Any]
    if style == "json":
        rendering = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        # Where Rich is installed, structlog's own choice writes every frame's local variables too: params, passwords.
        plain = structlog.dev.plain_traceback
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=False, timestamp_key="time", pad_event_to=0, exception_formatter=plain
            )
        ]
    return _EventFormatter(
        event_json if style == "json" else event_text,
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _hide],
    )


class _EventFormatter(structlog.stdlib.ProcessorFormatter):
    """As structlog's; what is a whole event already is only written, by ``write_event``."""

    def __init__(self, write_event: Callable[[logging.LogRecord], str], **options: Any) -> None:
        super().__init__(**options)
        self._write_event = write_event

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "is_event", False):
            return hide_secrets(self._write_event(record))
        return super().format(record)


def _hide(_: WrappedLogger, __: str, line: Any) -> Any:
    return hide_secrets(line)
