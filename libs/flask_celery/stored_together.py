"""Ends of short jobs that a process stores in one step, a few milliseconds after the first of them.

Each is stored before the message of its job is acknowledged, as ever. If the process dies before, they are run again.
"""

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import states
from celery._state import get_current_task
from celery.app.trace import task_has_custom
from celery.signals import task_success

#: Seconds for which an end waits for others, unless its job was the last one for now, or the next one takes long.
LONGEST_WAIT = 0.005

#: A task id and the script's arguments.
End = tuple[str, Sequence[Any]]


class StoredTogether:
    """For any thread.

    Args:
        store: stores all of these, in any number of steps. What it raises is raised again by :meth:`store`.
    """

    def __init__(self, store: Callable[[Sequence[End]], None]) -> None:
        self._store = store
        self._waiting: list[End] = []
        self._since = 0.0
        self._lock = threading.RLock()

    def add(self, task_id: str, arguments: Sequence[Any]) -> None:
        """Store it soon, or now when others have waited long enough."""
        with self._lock:
            now = time.monotonic()
            self._since = self._since if self._waiting else now
            self._waiting.append((task_id, arguments))
            if now - self._since >= LONGEST_WAIT:
                self.store()

    def store(self) -> None:
        """Store all that wait. When that fails they go on waiting; stored twice, an end is refused."""
        with self._lock:
            if self._waiting:
                count = len(self._waiting)
                self._store(self._waiting[:count])
                del self._waiting[:count]


def may_wait(state: str, request: Any) -> bool:
    """Whether nothing happens in this process that relies on the end's being stored."""
    if state != states.SUCCESS or request.callbacks or request.chain or request.chord or task_success.receivers:
        return False
    task = get_current_task()
    return task is not None and task.name == request.task and _has_no_hooks(task)


@functools.lru_cache(maxsize=1024)
def _has_no_hooks(task: Any) -> bool:
    return not any(task_has_custom(task, hook) for hook in ("on_success", "after_return"))
