"""Celery's consumer, with a place for every message it cannot run.

Celery rejects an unknown task and stores a failure, drops what it cannot decode without storing anything, and thereby
loses an accepted job for a worker that is only older than its submitter (``celery/worker/consumer/consumer.py``,
``on_unknown_task``, ``on_invalid_task``, ``on_decode_error``).
"""

import logging
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.parking import park_invalid, quarantine

logger = logging.getLogger(__name__)


class JobConsumer(Consumer):  # type: ignore[misc]
    """Named in the setting ``worker_consumer``. On other brokers than Redis it does as Celery does."""

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
