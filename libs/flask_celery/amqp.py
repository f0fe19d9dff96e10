"""Celery's message maker: adds the submission's facts to each task message.

Where the broker is not the Redis of the results (RabbitMQ, or two servers), no transaction can span both, so the
record is written before the publish and taken back when the publish fails. Never after it: a worker could have
stored the job's end by then. Whether a publish that failed has reached the broker is not known in every case, so
workers refuse a job that was taken back: who was told that it was not accepted may submit it again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import current_task
from celery.app.amqp import AMQP, task_message
from kombu.utils import cached_property

from libs.flask_celery import rabbitmq
from libs.flask_celery.accept_script import ACCEPTED, KNOWN
from libs.flask_celery.acceptance import FENCE_HEADER, FIRST_HEADER
from libs.flask_celery.deadlines import with_zone
from libs.flask_celery.delays import due_at
from libs.flask_celery.facts import HEADER, HIDDEN, SubmissionFacts
from libs.flask_celery.message_copy import message_of, payload_of
from libs.flask_celery.queue_names import DeploymentQueues
from libs.flask_celery.tracing import traced_sender
from libs.flask_celery.transport import OPTION, caught_messages
from libs.flask_celery.unique import UNIQUE_HEADER, unique_header

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin


class JobAMQP(AMQP):  # type: ignore[misc]
    """``app.amqp`` of the Celery app that ``make_celery`` builds."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        if app.queue_names.deployment:
            self.queues_cls = partial(DeploymentQueues, app.queue_names)

    def as_task_v2(
        self, task_id: str, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
    ) -> task_message:
        """Protocol 2's message with our headers; see :mod:`libs.flask_celery.facts`.

        A retry or a replacement is the same submission, so it keeps the facts it came with, and it is published by a
        run that may have been overtaken, so it carries the run's fence. Anything else has its caller's facts, and
        says of what it is to be the only job.
        """
        message = super().as_task_v2(task_id, name, args, kwargs, *more, **options)
        if message.headers["expires"]:
            message.headers["expires"] = with_zone(message.headers["expires"], self.app.timezone)
        request = getattr(current_task, "request", None) if current_task else None
        if request is None or getattr(request, "id", None) != task_id:
            message.headers[HEADER] = SubmissionFacts.of_caller().to_header()
            unique = unique_header(getattr(self.app.tasks.get(name), "job_spec", None), args, kwargs)
            if unique is not None:
                message.headers[UNIQUE_HEADER] = unique
            return message
        if getattr(request, "kwargsrepr", None) == HIDDEN["kwargsrepr"]:  # Celery would write them out for a retry
            message.headers.update(HIDDEN)
            if message.sent_event:
                message.sent_event.update(args=HIDDEN["argsrepr"], kwargs=HIDDEN["kwargsrepr"])
        facts = SubmissionFacts.of_header(getattr(request, HEADER, None)) or SubmissionFacts.of_caller()
        message.headers[HEADER] = facts.to_header()
        message.headers[FENCE_HEADER] = getattr(request, FENCE_HEADER, None) or 0
        if getattr(request, "process_is_lost", False):
            message.headers[FIRST_HEADER] = "first"
        request.next_run_at = round(due_at(message.headers) * 1000) or None
        return message

    def publish_copy(self, message: Mapping[str, Any], queue: str) -> None:
        """Publish a message that was put together before (``message_copy``), as it is."""
        names = ("correlation_id", "reply_to", "priority", "delivery_mode")
        properties = {name: value for name in names if (value := message["properties"].get(name)) is not None}
        target = self.queues[queue]
        with self.app.producer_or_acquire() as producer:
            producer.publish(
                payload_of(message),
                content_type=message["content-type"],
                content_encoding=message["content-encoding"],
                headers=message["headers"],
                exchange="",
                routing_key=target.name,
                declare=[target],
                **properties,
            )

    @cached_property  # type: ignore[untyped-decorator]
    def send_task_message(self) -> Callable[..., Any]:
        """Publishes one message, as part of its trace; see :meth:`_sender`."""
        return traced_sender(self.app, self._sender())

    def _sender(self) -> Callable[..., Any]:
        """Writes the record first where it cannot be written with the push."""
        send: Callable[..., Any] = super()._create_task_sender()
        if self.app.queue_names.deployment:
            send = self._to_queue_of_deployment(send)
        if OPTION in (self.app.conf.broker_transport_options or {}):
            return send
        backend: JobBackendMixin = self.app.backend
        conf = self.app.conf
        confirmed = rabbitmq.publish_options(timeout=(conf.broker_transport_options or {}).get("read_timeout"))

        def send_after_record(producer: Any, name: str, message: task_message, **options: Any) -> Any:
            # RabbitMQ would drop what is late without a word, a started job that comes back to its queue too.
            options.pop("expiration", None)
            connection, caught = producer.connection, caught_messages()
            on_rabbitmq = rabbitmq.is_used_by(connection)
            if on_rabbitmq and caught is None:
                # Celery names some options without a value.
                options |= {option: value for option, value in confirmed.items() if options.get(option) is None}
                retry = conf.task_publish_retry if options.get("retry") is None else options["retry"]
                # A broker that is away is found out, or waited for, before anything is written.
                rabbitmq.make_ready(producer, conf.task_publish_retry_policy if retry else None)
            queue = options.get("queue")
            queue_name = getattr(queue, "name", queue) or conf.task_default_queue
            headers = {**message.headers, **(options.get("headers") or {})}  # as Celery puts them together
            serializer = options.get("serializer") or self.app.conf.task_serializer
            properties = {**message.properties, "priority": options.get("priority")}
            copied = message_of(headers, properties, message.body, serializer)
            if caught is not None:
                caught.append((copied, queue_name))
                return None
            outcome = backend.accept_job(copied, queue_name)
            if outcome == KNOWN:
                return None
            try:
                sent = send(producer, name, message, **options)
            except Exception:
                if on_rabbitmq:
                    rabbitmq.drop_connection(producer, connection)
                if outcome == ACCEPTED:
                    backend.withdraw(headers["id"])
                raise
            backend.published(headers["id"])
            return sent

        return send_after_record

    def _to_queue_of_deployment(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Celery routes by the name it is given where that did not come from its router, and by a queue as it is."""

        def send_to_own(producer: Any, name: str, message: task_message, **options: Any) -> Any:
            queue = options.get("queue")
            if queue is not None:
                found = self.queues[queue] if isinstance(queue, str) else queue
                options["queue"] = self.app.queue_names.of_deployment(found)
            return send(producer, name, message, **options)

        return send_to_own
