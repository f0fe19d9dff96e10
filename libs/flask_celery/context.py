"""One Flask app context around a whole execution: ``before_start``, ``run``, ``on_success``, ``on_failure``,
``on_retry`` and ``after_return``.

A Task subclass can wrap only ``run``; Celery calls the other hooks around it. So the context is pushed when Celery
says ``task_prerun`` and popped at ``task_postrun``. An eager execution inside a context of the same application
uses that one: its caller's ``g`` and ``db.session`` are what it should see. A worker's execution always has its own.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from celery import signals
from flask import Flask, current_app, g, has_app_context
from flask.ctx import AppContext
from flask.globals import app_ctx

from libs.flask_celery.current_job import ActiveJob
from libs.flask_celery.database import dispose_engines
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.permits import tell_start
from libs.flask_celery.tracing import begin_run, end_run

logger = logging.getLogger(__name__)


def _in_context_of(app: Flask) -> bool:
    return has_app_context() and current_app._get_current_object() is app  # type: ignore[attr-defined]


def connect_signals() -> None:
    """Attach the handlers below, once a process; they look at tasks of ``make_celery``'s apps only."""
    signals.task_prerun.connect(_push_context, weak=False, dispatch_uid=f"{__name__}.push")
    signals.task_postrun.connect(_pop_context, weak=False, dispatch_uid=f"{__name__}.pop")


def _push_context(task: Any = None, **_: Any) -> None:
    app = getattr(task.app, "flask_app", None)
    if app is None:
        return
    request = task.request
    try:
        if not (request.is_eager and _in_context_of(app)):
            context = app.app_context()
            context.push()
            request.flask_context = context
            fill_g(request)
            begin_run(task)
        if not request.is_eager:
            request.active_job = ActiveJob(task.backend, request)
            request.reported = False
            request.untold_start = None
            request.cancel_requested = False
            request.refused_state = None
            request.overtaken = False
    except Exception:
        # Celery drops exceptions of signal handlers; the job then fails on its first use of current_app.
        logger.exception("No app context could be pushed for job %s", request.id)
        raise


def _pop_context(task: Any = None, state: str | None = None, retval: Any = None, **_: Any) -> None:
    request = task.request
    end_run(task, state, retval)
    if getattr(request, "active_job", None) is not None:
        tell_start(request)
        request.active_job.end()
        request.active_job = None
    context = getattr(request, "flask_context", None)
    if context is None:
        return
    request.flask_context = None
    try:
        _pop_what_the_job_left_open(request.id, context)
        context.pop()
    except Exception:
        logger.exception("The app context of job %s could not be closed", request.id)
        raise


def _pop_what_the_job_left_open(task_id: str, context: AppContext) -> None:
    """A job that pushes a context and does not pop it would leave its own behind, database session and all."""
    while has_app_context() and (left := app_ctx._get_current_object()) is not context:  # type: ignore[attr-defined]
        logger.error("Job %s has left an app context open; what it did in there is not committed", task_id)
        left.pop()


def fill_g(request: Any) -> None:
    """The submitter's facts, under the names the HTTP side uses for its own caller."""
    facts = SubmissionFacts.of_request(request) if request is not None else None
    known: Any = g._get_current_object()  # each look at the proxy finds it anew
    known.principal = facts.owner if facts else ""
    known.request_id = facts.request_id if facts else None
    known.locale = facts.locale if facts else None
    known.traceparent = facts.traceparent if facts else None
    known.deadline = _time_of(facts.deadline if facts else None)
    known.due_at = _time_of(facts.due_at if facts else None)


def _time_of(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def dispose_after_fork(app: Flask) -> None:
    """See that no database connection made before a fork is used after it, in each worker child of ``app``.

    The child only forgets the parent's connections (``close=False``): closing them would end the parent's sessions.
    """

    def forget_connections(**_: Any) -> None:
        dispose_engines(app)

    signals.worker_process_init.connect(forget_connections, weak=False, dispatch_uid=f"{__name__}.{id(app)}")
