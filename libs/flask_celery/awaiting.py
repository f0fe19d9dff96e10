"""Waiting for results with ``get()``: subscriptions are made when somebody waits, not when jobs are published.

Celery subscribes to every part of a group and of a chord as it publishes them, for a ``get()`` that may never come,
and leaves the socket unread until then (``celery/canvas.py``, ``_apply_tasks`` and ``freeze``).
"""

from typing import Any

from celery.backends.base import Backend
from celery.backends.redis import ResultConsumer
from celery.result import AsyncResult, ResultSet
from vine import barrier  # type: ignore[import-untyped]


class OnDemandResult(AsyncResult):  # type: ignore[misc]
    """``app.AsyncResult``."""

    def then(self, callback: Any, on_error: Any = None, weak: bool = False) -> Any:
        """Call back when ready. A group's own count of its parts is nobody who waits, so it is kept weakly."""
        return super().then(callback, on_error, weak or isinstance(callback, barrier))


class OnDemandResultConsumer(ResultConsumer):  # type: ignore[misc]
    """``RedisBackend.ResultConsumer``."""

    def on_wait_for_pending(self, result: Any, **kwargs: Any) -> None:
        """Subscribe to a group's parts, then read what has ended already, so that nothing falls in between."""
        if isinstance(result, ResultSet):
            self.drainer.start()
            for part in result.results:
                if not isinstance(part, ResultSet):  # the parts of a group in a group are waited for one by one
                    self.consume_from(part.id)
        super().on_wait_for_pending(result, **kwargs)

    def _reconnect(self) -> None:
        """As patiently as Celery's own default in every role: who waits for a job can wait for Redis."""
        policy = self.backend.retry_policy
        try:
            self._ensure(
                self._reconnect_pubsub, (), **(policy if policy.get("max_retries") else Backend.retry_policy)
            )
        except self._connection_errors:
            self.subscribed_to.clear()  # or a later get() would take itself for subscribed, and wait for ever
            raise
