"""The spans of jobs: one that sends a job, or a batch, and one for each run.

Names and attributes are those of OpenTelemetry's semantic conventions for messaging. No argument, no result and no
text of an error is among them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from libs.tracing.traceparents import context_of, traceparent_of

_SYSTEM = {"messaging.system": "celery"}


class SendSpan:
    """Of what is being sent."""

    def __init__(self, span: Span) -> None:
        self._span = span
        #: What the messages carry, so that their runs are below it.
        self.traceparent = traceparent_of(span)

    def note_message(self, task_id: str) -> None:
        """The one that was sent."""
        self._span.set_attribute("messaging.message.id", task_id)

    def note_count(self, count: int) -> None:
        """How many were, of a batch."""
        self._span.set_attribute("messaging.batch.message_count", count)


class RunSpan:
    """Of a run, and the current one of its thread or greenlet until it has ended."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = current.attach(set_span_in_context(span))
        #: What the run publishes carries it.
        self.traceparent = traceparent_of(span)

    def end(self, state: str | None, error: object) -> None:
        """The run has ended in a state, FAILURE and RETRY with an exception."""
        self._span.set_attribute("taskgate.state", state or "")
        if isinstance(error, BaseException):
            self._span.set_attribute("error.type", type(error).__qualname__)
        if state == "FAILURE":
            self._span.set_status(StatusCode.ERROR)
        current.detach(self._token)
        self._span.end()


class JobSpans:
    """Of one application."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("taskgate.jobs")

    @contextmanager
    def sending(self, *, queue: str | None, task: str | None, parent: str | None) -> Iterator[SendSpan]:
        """Around publishing what is to wait in a queue; None where messages go to several."""
        operation = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
        span = self._tracer.start_span(
            f"send {queue}" if queue else "send",
            context=context_of(parent),
            kind=SpanKind.PRODUCER,
            attributes=_SYSTEM | operation | _destination(queue, task),
        )
        try:
            yield SendSpan(span)
        except Exception as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__qualname__)
            raise
        finally:
            span.end()

    def begin_run(
        self, *, queue: str | None, task: str, task_id: str, retries: int, request_id: str | None, parent: str | None
    ) -> RunSpan:
        """A run begins; its thread or greenlet is to end it."""
        operation = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
        span = self._tracer.start_span(
            f"process {queue}" if queue else "process",
            context=context_of(parent),
            kind=SpanKind.CONSUMER,
            attributes={
                **_SYSTEM,
                **operation,
                **_destination(queue, task),
                "messaging.message.id": task_id,
                "taskgate.retries": retries,
                **({"taskgate.request_id": request_id} if request_id else {}),
            },
        )
        return RunSpan(span)

    def flush(self) -> None:
        """Send what waits, now: the process ends without running what Python runs at exit."""
        self._provider.force_flush()


def _destination(queue: str | None, task: str | None) -> dict[str, str]:
    found = {"messaging.destination.name": queue, "taskgate.task": task}
    return {name: value for name, value in found.items() if value}
