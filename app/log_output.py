"""Where an API process writes its logs: requests to standard output, everything else to standard error."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from flask import g, has_request_context

from app.access_log import LOGGER
from libs.structured_logs import log_formatter, trace_of


class WholeLines(logging.StreamHandler[TextIO]):
    """For lines of which there is one for each request: without a lock, since gevent's takes as long as writing.

    A line is one ``write``, which is one step for any thread or greenlet, and a flush may take others' lines along.
    """

    def createLock(self) -> None:  # noqa: N802 - logging's name for it
        """None, as ``logging.NullHandler`` has it."""
        self.lock = None


def set_up_logs(style: str) -> None:
    """For this process: ``json`` or ``text``. To be called by what serves, once."""
    formatter = log_formatter(style, _request)
    requests, others = WholeLines(sys.stdout), logging.StreamHandler(sys.stderr)
    for handler in (requests, others):
        handler.setFormatter(formatter)
    LOGGER.handlers[:] = [requests]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    logging.getLogger().handlers[:] = [others]


def _request() -> Mapping[str, Any]:
    if not has_request_context() or "request_id" not in g:
        return {}
    job = {"task_id": g.task_id} if "task_id" in g else {}
    return {"request_id": g.request_id, **job, **trace_of(g.get("traceparent"))}
