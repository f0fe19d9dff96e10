"""Celery's consumer, with a place for every message it cannot run.

Celery rejects an unknown task and stores a failure, drops what it cannot decode without storing anything, and thereby
loses an accepted job for a worker that is only older than its submitter (``celery/worker/consumer/consumer.py``,
``on_unknown_task``, ``on_invalid_task``, ``on_decode_error``).
"""

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer

from libs.flask_celery.bundles.bundler import Bundler
from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.giving_back import is_stopping
from libs.flask_celery.parking import park_invalid, quarantine
from libs.flask_celery.rabbitmq import HeldTooLongError
from libs.flask_celery.rate_limits import shared_pace
from libs.flask_celery.readable import check_task
from libs.flask_celery.turns import SharedBucket, set_paces, take_turn

logger = logging.getLogger(__name__)

#: Seconds after which a worker without an event loop, as gevent's are, looks whether it has been told to stop.
#: Celery looks every two seconds, and once more (``celery/worker/loops.py``, ``synloop``).
_LONGEST_DRAIN = 0.5


class BriefDrains:
    """The broker's connection, as ``synloop`` sees it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def drain_events(self, timeout: float) -> Any:
        """Handle what comes within half a second at the most. Raises: TimeoutError.

        Celery drains once more when it has been told to stop, and would take, and run, another job then.
        """
        if is_stopping():
            raise TimeoutError
        return self._connection.drain_events(timeout=min(timeout, _LONGEST_DRAIN))


class JobConsumer(Consumer):  # type: ignore[misc]
    """Named in the setting ``worker_consumer``. On other brokers than Redis it does as Celery does."""

    def __init__(self, on_task_request: Callable[[Any], object], *args: Any, **kwargs: Any) -> None:
        super().__init__(on_task_request, *args, **kwargs)
        self.on_task_request = self._bundler = Bundler(self, on_task_request)

    def loop_args(self) -> tuple[Any, ...]:
        """What ``synloop`` or ``asynloop`` is called with."""
        consumer, connection, *others = super().loop_args()
        return (consumer, connection if self.hub else BriefDrains(connection), *others)

    def cancel_task_queue(self, queue: str) -> None:
        """Consume from this queue no more, by whichever of its names."""
        super().cancel_task_queue(self.app.queue_names.physical(queue))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let a job that RabbitMQ thinks was held for too long go on: stopped, it would be so each time anew."""
        setting = "worker_cancel_long_running_tasks_on_connection_loss"
        configured = self.app.conf[setting]
        self.app.conf[setting] = configured and not isinstance(exc, HeldTooLongError)
        try:
            super().on_connection_error_after_connected(exc)
        finally:
            self.app.conf[setting] = configured

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's, after a look at the message: one it cannot read would end this worker, and then the next."""
        receive = super().create_task_handler(*args, **kwargs)
        self._set_paces()
        channel = self._claiming_channel()
        if channel is not None:
            channel.bundler = self._bundler

        def receive_if_readable(message: Any) -> None:
            try:
                if (message.headers or {}).get("task") in self.app.tasks:
                    check_task(message)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is this message's
                self.on_invalid_task(None, message, error)
                return
            receive(message)

        return receive_if_readable

    def bucket_for_task(self, type: Any) -> Any:  # noqa: A002 - Celery's name
        """What bounds how often a task may begin, if anything does."""
        return SharedBucket.of_task(type) or super().bucket_for_task(type)

    def reset_rate_limits(self) -> None:
        """They may be others than they were, at the start and by ``control rate_limit``."""
        super().reset_rate_limits()
        self._set_paces()

    def _claiming_channel(self) -> ClaimingChannelMixin | None:
        """The one that it consumes from; None while there is none, and with other brokers."""
        channel = getattr(getattr(self, "task_consumer", None), "channel", None)
        return channel if isinstance(channel, ClaimingChannelMixin) else None

    def _set_paces(self) -> None:
        channel = self._claiming_channel()
        if channel is not None:
            limited = not self.disable_rate_limits
            set_paces(
                channel, {name: shared_pace(task) if limited else None for name, task in self.app.tasks.items()}
            )

    def _limit_task(self, request: Any, bucket: Any, tokens: int) -> None:
        """Begin a job whose task has a rate limit, or have it wait for its turn."""
        if not isinstance(bucket, SharedBucket):
            super()._limit_task(request, bucket, tokens)
        elif not isinstance(request.message.channel, ClaimingChannelMixin):
            self.qos.increment_eventually()  # it holds no place of this worker while it waits
            bucket.add((request, tokens))
            if not bucket.is_awaited:
                self._schedule_bucket_request(bucket)
        elif take_turn(request.message, bucket):
            self._limit_move_to_pool(request)

    def _limit_post_eta(self, request: Any, bucket: Any, tokens: int) -> None:
        """The same for one that has waited in this worker for its time."""
        if isinstance(bucket, SharedBucket):
            self.qos.decrement_eventually()
            self._limit_task(request, bucket, tokens)
        else:
            super()._limit_post_eta(request, bucket, tokens)

    def _schedule_bucket_request(self, bucket: Any) -> None:
        """Begin what may begin of those that wait in this worker, and come back when the next one may."""
        if not isinstance(bucket, SharedBucket):
            super()._schedule_bucket_request(bucket)
            return
        bucket.is_awaited = True
        while bucket.contents:
            waiting, _ = bucket.contents[0]
            seconds = 0.0 if bucket.is_over(waiting.id) else bucket.begin()
            if seconds > 0:
                self.timer.call_after(seconds, self._schedule_bucket_request, (bucket,))
                return
            request, _ = bucket.pop()
            self.qos.decrement_eventually()
            self._limit_move_to_pool(request)
        bucket.is_awaited = False

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep the message until a worker knows its task; its record stays PENDING."""
        task = (message.headers or {}).get("task")
        if not isinstance(message.channel, ClaimingChannelMixin) or task is None:
            super().on_unknown_task(body, message, exc)
            return
        logger.error("This worker does not know task %s; job %s is in quarantine", task, message.headers.get("id"))
        quarantine(message, task)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Park what is no task message."""
        if self._park(message, "not a task message"):
            return
        super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Park a task message whose content cannot be used, and fail its job."""
        if self._park(message, f"invalid: {exc}", exc):
            return
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Park a message whose body cannot be decoded, and fail its job."""
        if self._park(message, f"undecodable: {exc}", exc):
            return
        super().on_decode_error(message, exc)

    def _park(self, message: Any, reason: str, error: Exception | None = None) -> bool:
        if not isinstance(message.channel, ClaimingChannelMixin):
            return False
        logger.error("A message is parked among the dead letters: %s", reason)
        park_invalid(message, reason)
        task_id = (message.headers or {}).get("id")
        if task_id:
            self.app.backend.mark_as_failure(str(task_id), InvalidTaskError(str(error or reason)))
        return True
