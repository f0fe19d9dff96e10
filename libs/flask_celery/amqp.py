"""Celery's message maker: adds the submission's facts to each task message.

Where the broker is not the Redis of the results (RabbitMQ, or two servers), no transaction can span both, so the
record is written before the publish and taken back when the publish fails. Never after it: a worker could have
stored the job's end by then.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import current_task
from celery.app.amqp import AMQP, task_message
from kombu.utils import cached_property

from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.transport import OPTION, acceptance_arguments

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin


class JobAMQP(AMQP):  # type: ignore[misc]
    """``app.amqp`` of the Celery app that ``make_celery`` builds."""

    def as_task_v2(self, task_id: str, *args: Any, **kwargs: Any) -> task_message:
        """Protocol 2's message with one header more; see :mod:`libs.flask_celery.facts`."""
        message = super().as_task_v2(task_id, *args, **kwargs)
        message.headers[HEADER] = _header_for(task_id)
        return message

    @cached_property  # type: ignore[untyped-decorator]
    def send_task_message(self) -> Callable[..., Any]:
        """Publishes one message; writes the record first where it cannot be written with the push."""
        send: Callable[..., Any] = super()._create_task_sender()
        if OPTION in (self.app.conf.broker_transport_options or {}):
            return send
        backend: JobBackendMixin = self.app.backend

        def send_after_record(producer: Any, name: str, message: task_message, **options: Any) -> Any:
            queue = options.get("queue")
            queue_name = getattr(queue, "name", queue) or self.app.conf.task_default_queue
            headers = {**message.headers, **(options.get("headers") or {})}  # as Celery puts them together
            arguments = acceptance_arguments(headers, queue_name, backend.keys)
            fresh = backend.accept_job(arguments)
            try:
                return send(producer, name, message, **options)
            except Exception:
                if fresh:
                    backend.withdraw(message.headers["id"])
                raise

        return send_after_record


def _header_for(task_id: str) -> dict[str, Any]:
    """A retry is the same submission, so it keeps the facts it came with; anything else has its caller's."""
    request = getattr(current_task, "request", None) if current_task else None
    if request is not None and getattr(request, "id", None) == task_id:
        carried = SubmissionFacts.of_header(getattr(request, HEADER, None))
        if carried is not None:
            return carried.to_header()
    return SubmissionFacts.of_caller().to_header()
