"""Which jobs of those that a claim has brought are handed over together.

Celery hands each over for itself: the main process writes it to a pool's process, which says that it has begun it,
and what it has come to. For a job of a millisecond that takes longer than the job.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from billiard import get_start_method
from celery import bootsteps
from celery.concurrency.prefork import TaskPool as PreforkPool

from libs.flask_celery.bundles.bundle import Bundle
from libs.flask_celery.bundles.open_bundles import open_bundles
from libs.flask_celery.bundles.tokens import Tokens
from libs.flask_celery.permits import is_permitted_message

#: Seconds. A bundle may run for a while before it is seen that one of its jobs is not short; shorter limits than this
#: would be kept too late.
SHORTEST_LIMIT = 10.0

#: So many bundles for each of the pool's processes can have been handed over and not be seen to have ended.
_FOR_EACH = 3


class BundleTokens(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes the pipes before there are processes of the pool, which inherit them."""

    def __init__(self, worker: Any, **options: Any) -> None:
        most = worker.autoscale[0] if getattr(worker, "autoscale", None) else worker.concurrency or 1
        worker.bundle_tokens = [Tokens() for _ in range(_FOR_EACH * int(most))] if _can_bundle(worker) else []
        super().__init__(worker, **options)


def _can_bundle(worker: Any) -> bool:
    """Only a pool of processes that have what the main one had, and are not counted by their jobs."""
    pool = worker.pool_cls
    is_prefork = isinstance(pool, type) and issubclass(pool, PreforkPool)
    return bool(
        is_prefork
        and worker.pool_start_method == "fork"
        and get_start_method() == "fork"
        and not worker.max_tasks_per_child
    )


class Bundler:
    """What a consumer gives its requests to, in place of the worker's own ``process_task``.

    Args:
        consumer: of this worker.
        hand_over: the worker's own.
    """

    def __init__(self, consumer: Any, hand_over: Callable[[Any], object]) -> None:
        self._consumer = consumer
        self._hand_over = hand_over
        self._together: list[Any] | None = None

    def __call__(self, request: Any) -> None:
        """Hand it over, alone or with others."""
        if self._together is not None:
            self._together.append(request)
        else:
            self._hand_over(request)

    @property
    def is_free(self) -> bool:
        """Whether there can be one more bundle."""
        return bool(self._tokens) and self._consumer.app.use_fast_trace_task

    def beyond_calls(self, channel: Any) -> int:
        """How many of a channel's messages are held beyond the one for each call of the pool."""
        return sum(bundle.beyond_call for bundle in open_bundles if bundle.channel is channel)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is delivered in this block is handed over together at its end.

        For when it :attr:`is_free`, and for what :meth:`may_take`.
        """
        self._together = []
        try:
            yield
        finally:
            requests, self._together = self._together, None
            if len(requests) == 1:
                self._hand_over(requests[0])
            elif requests:
                bundle = Bundle(requests, self._tokens.pop(), self._consumer.hub, self._ended)
                open_bundles.add(bundle)
                self._hand_over(bundle)

    @property
    def _tokens(self) -> list[Tokens]:
        """Those that nobody uses."""
        tokens: list[Tokens] = getattr(self._consumer.controller, "bundle_tokens", [])
        return tokens

    def _ended(self, bundle: Bundle) -> None:
        open_bundles.discard(bundle)
        self._tokens.append(bundle.tokens)

    def may_take(self, payload: Mapping[str, Any]) -> bool:
        """Whether a message's job may be one of several.

        Not one that was delivered before: it may be what has ended the process that had it.
        """
        headers, properties = payload["headers"], payload["properties"]
        task = self._consumer.app.tasks.get(headers.get("task"))
        return (
            task is not None
            and task.acks_late
            and not getattr(task, "transactional", False)
            and is_permitted_message(properties)
            and not headers.get("redelivered")
            and all(limit is None or limit >= SHORTEST_LIMIT for limit in self._limits(task, headers))
        )

    def _limits(self, task: Any, headers: Mapping[str, Any]) -> tuple[float | None, ...]:
        """Of the task, the job and the pool, in seconds."""
        pool = self._consumer.pool._pool
        of_job = headers.get("timelimit") or ()
        return (*of_job, task.time_limit, task.soft_time_limit, pool.timeout, pool.soft_timeout)
