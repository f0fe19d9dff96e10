"""What a worker that stops still holds, and how its jobs' messages get back into their queues at once.

Each message carries how far this worker is with it. That is kept under one lock, because in thread and gevent pools
a prefetched job may start in the very moment in which its message is given back, and only one of the two may happen.
"""

import threading
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from celery.worker import state

from libs.flask_celery.states import JobState

try:
    from greenlet import GreenletExit
except ImportError:  # pragma: no cover - then there are no greenlets
    GreenletExit = SystemExit

#: Ends a pool's call before the job has begun. This one gevent takes for a quiet end; a thread keeps any to itself.
NotStarted = GreenletExit


class Stage(IntEnum):
    """How far a worker is with a message it has taken. A message only goes forward."""

    WAITING = 0  # in the worker
    DISPATCHED = 1  # the pool has it
    STARTED = 2
    SETTLED = 3  # acknowledged or rejected, if only in a moment
    GIVEN_BACK = 4  # another worker may run it


_lock = threading.Lock()


def reach(message: Any, stage: Stage) -> bool:
    """Note that ``message`` has come this far. Returns: False when it has been given back meanwhile."""
    with _lock:
        _advance(message, stage)
        return not is_given_back(message)


def is_given_back(message: Any) -> bool:
    """Whether another worker may run it by now."""
    return _stage(message) is Stage.GIVEN_BACK


def is_stopping() -> bool:
    """Whether this worker has been told to stop."""
    return state.should_stop is not None and state.should_stop is not False  # 0 is an exit code


def give_back_waiting(channel: Any, *, closed: bool, dispatched_may_wait: bool) -> None:
    """Give back what has been taken and not started.

    Args:
        closed: whether the consumer will read no answer any more.
        dispatched_may_wait: whether the pool keeps jobs waiting that it was given, and asks as they start.
    """
    latest = Stage.DISPATCHED if dispatched_may_wait else Stage.WAITING
    with _lock:
        waiting = [message for message in _delivered(channel) if _stage(message) <= latest]
        for message in waiting:
            _advance(message, Stage.GIVEN_BACK)
    _restore(channel, [message.delivery_tag for message in waiting], claimed_too=closed)


def give_back_all(channel: Any) -> None:
    """Give back what runs as well, for a worker that is about to end: what :func:`withhold_running` has marked."""
    held = [message for message in _delivered(channel) if _stage(message) is not Stage.SETTLED]
    # What was taken over a connection that is gone, and still runs, is held by its tag all the same.
    held += [request.message for request in tuple(state.active_requests) if is_given_back(request.message)]
    _restore(channel, dict.fromkeys(message.delivery_tag for message in held), claimed_too=True)


def withhold_running() -> list[Any]:
    """From here on nothing that becomes of the running jobs is acted upon. Returns: their requests."""
    with _lock:
        running = [
            request
            for request in tuple(state.active_requests)
            if _stage(request.message) < Stage.SETTLED or not request.task.acks_late
        ]
        for request in running:
            _advance(request.message, Stage.GIVEN_BACK)
    return running


def show_waiting(request: Any) -> None:
    """Let the record of a job that was cut short say that it waits; one that is final, or runs elsewhere, stays so.

    Raises: redis-py's connection errors, at once.
    """
    request.task.backend.store_state(
        request.id, None, JobState.PENDING.value, request=request._context, max_retries=0
    )


def _restore(channel: Any, tags: Iterable[str], *, claimed_too: bool) -> None:
    """Back to the heads of their queues, the newest first, so that their order stays."""
    newest_first = list(tags)[::-1]
    if claimed_too:
        newest_first = [
            *reversed(channel.claimed_tags()),
            *newest_first,
        ]  # with a claim whose answer nobody will read
    for tag in newest_first:
        channel.qos.restore_by_tag(tag)


def _delivered(channel: Any) -> list[Any]:
    """Messages by the time they were taken. Callable from another thread."""
    while True:
        try:
            return list(channel.qos._delivered.values())
        except RuntimeError:  # it changed while it was read
            continue


def _advance(message: Any, stage: Stage) -> None:
    message.job_stage = max(stage, _stage(message))


def _stage(message: Any) -> Stage:
    found: Stage = getattr(message, "job_stage", Stage.WAITING)
    return found
