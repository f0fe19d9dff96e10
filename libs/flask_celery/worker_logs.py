"""Worker and beat logs as JSON: Celery's own handlers, files and levels, with another formatter."""

import logging
from collections.abc import Mapping
from typing import Any

from celery import current_task, signals
from flask import g, has_app_context

from libs.structured_logs import log_formatter, trace_of


def write_json() -> None:
    """Have what Celery sets up (``--loglevel``, ``--logfile``) write JSON, with the job each line is about."""
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(_use_json, weak=False, dispatch_uid=f"{__name__}.json")


def _use_json(logger: logging.Logger | None = None, **_: Any) -> None:
    for handler in logger.handlers if logger is not None else ():
        handler.setFormatter(log_formatter("json", _job, about=_job_that_came))


def _job() -> Mapping[str, Any]:
    """The job that runs where the line is written, and the request that submitted it."""
    request = current_task.request if current_task else None
    if request is None or request.id is None:
        return {}
    request_id, traceparent = (g.get("request_id"), g.get("traceparent")) if has_app_context() else (None, None)
    return {"task_id": request.id, "task": request.task, "request_id": request_id, **trace_of(traceparent)}


def _job_that_came(record: logging.LogRecord) -> Mapping[str, Any]:
    """The job that the consumer says it has received: a line of Celery's, outside of the job."""
    data = getattr(record, "data", None)
    if not isinstance(data, Mapping) or "id" not in data or "name" not in data:
        return {}
    return {"task_id": data["id"], "task": data["name"]}
