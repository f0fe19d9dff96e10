"""Where jobs become part of a trace: as they are sent, and around each run.

What makes the spans is the application's, as ``celery_app.tracing``; None there, the default, costs a look. A trace
travels in the submission's facts (``facts``): publishing is below the span that ``g.traceparent`` names, and so is
what a run publishes, since its own span is named there meanwhile. A retry keeps the facts of its job, so that all
runs of a job are below the span that sent it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from celery import current_task, signals
from flask import g, has_app_context

from libs.flask_celery.describing import usual_queue
from libs.flask_celery.facts import HEADER

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

_Submit = TypeVar("_Submit", bound=Callable[..., Any])


class SendSpan(Protocol):
    """Of what is being sent."""

    traceparent: str

    def note_message(self, task_id: str) -> None:
        """Its job."""

    def note_count(self, count: int) -> None:
        """How many jobs it is."""


class RunSpan(Protocol):
    """Of a run."""

    traceparent: str

    def end(self, state: str | None, error: object) -> None:
        """In the thread or greenlet of the run."""


class JobTracing(Protocol):
    """What the application registers as ``celery_app.tracing``."""

    def sending(self, *, queue: str | None, task: str | None, parent: str | None) -> AbstractContextManager[SendSpan]:
        """Around publishing."""

    def begin_run(
        self, *, queue: str | None, task: str, task_id: str, retries: int, request_id: str | None, parent: str | None
    ) -> RunSpan:
        """Before a run; ``parent`` and what it is below are as in ``traceparent``."""

    def flush(self) -> None:
        """A child process of a worker ends."""


def traced(submit: _Submit) -> _Submit:
    """For what submits a task's job, or the items of a batch, for the caller in ``g``."""

    @wraps(submit)
    def submit_traced(celery_app: "FlaskCelery", what: Any, *args: Any, **kwargs: Any) -> Any:
        if celery_app.tracing is None or not has_app_context():
            return submit(celery_app, what, *args, **kwargs)
        task = what if isinstance(what, str) and what in celery_app.tasks else None
        queue = kwargs.get("queue") or (usual_queue(celery_app, task) if task else None)
        parent = g.get("traceparent")
        try:
            with celery_app.tracing.sending(queue=str(queue) if queue else None, task=task, parent=parent) as span:
                g.traceparent = span.traceparent
                accepted = submit(celery_app, what, *args, **kwargs)
                if isinstance(what, str):
                    span.note_message(accepted.task_id)
                else:
                    span.note_count(accepted.accepted)
                return accepted
        finally:
            g.traceparent = parent

    return cast("_Submit", submit_traced)


def traced_sender(celery_app: "FlaskCelery", send: Callable[..., Any]) -> Callable[..., Any]:
    """``amqp.send_task_message`` for what code publishes: ``delay()``, a canvas, beat."""
    if celery_app.tracing is None:
        return send

    def send_traced(producer: Any, name: str, message: Any, **options: Any) -> Any:
        tracing, headers = celery_app.tracing, message.headers
        facts = headers.get(HEADER)
        # What a client submits has its span already, and a retry is the same submission.
        if tracing is None or facts is None or HEADER in (options.get("headers") or {}) or _is_own(headers["id"]):
            return send(producer, name, message, **options)
        queue = options.get("queue")
        queue_name = getattr(queue, "name", queue) or celery_app.conf.task_default_queue
        logical = celery_app.queue_names.logical(str(queue_name))
        with tracing.sending(queue=logical, task=name, parent=facts.get("traceparent")) as span:
            span.note_message(headers["id"])
            headers[HEADER] = {**facts, "traceparent": span.traceparent}
            return send(producer, name, message, **options)

    return send_traced


def _is_own(task_id: str) -> bool:
    request = getattr(current_task, "request", None) if current_task else None
    return request is not None and request.id == task_id


def begin_run(task: Any) -> None:
    """The app context of a run, just filled, names the run's span from now on."""
    tracing: JobTracing | None = task.app.tracing
    request = task.request
    if tracing is None or request.is_eager:
        return
    queue = (request.delivery_info or {}).get("routing_key")
    request.run_span = tracing.begin_run(
        queue=task.app.queue_names.logical(queue) if queue else None,
        task=task.name,
        task_id=request.id,
        retries=request.retries or 0,
        request_id=g.request_id,
        parent=g.traceparent,
    )
    g.traceparent = request.run_span.traceparent


def end_run(task: Any, state: str | None, error: object) -> None:
    """Its hooks have run too."""
    span: RunSpan | None = getattr(task.request, "run_span", None)
    if span is not None:
        task.request.run_span = None
        span.end(state, error)


def flush_in_children(tracing: JobTracing) -> None:
    """A pool's child process ends without what Python runs at exit, and may have spans that wait to be sent."""

    def flush(**_: Any) -> None:
        tracing.flush()

    signals.worker_process_shutdown.connect(flush, weak=False, dispatch_uid=f"{__name__}.flush")
