"""Locks that a forked process inherits from the worker's threads, which do not exist in it.

A fork copies the memory as it is, and of the threads only the one that forks. A lock that another one held at that
moment is held for ever in the new process, and a job that wants it never ends. Python renews its own modules' locks
and Celery those of its log handlers; here it is done for those of cached properties, which kombu's take at each look
(``kombu/utils/objects.py``) and Python's, up to 3.11, at the first.
"""

import functools
import gc
import os
import threading
from typing import Any

from celery import bootsteps


class ForkedLocks(bootsteps.Step):  # type: ignore[misc]
    """Made with the worker: all tasks are loaded by then, and nothing has been forked."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        renew_in_children()  # whatever the pool: a job may fork as well


def renew_in_children() -> None:
    """Give every cached property that there is now a new lock in each process that is forked from here on."""
    found = [each for each in gc.get_objects() if isinstance(each, functools.cached_property)]
    locked: list[Any] = [each for each in found if hasattr(each, "lock")]

    def renew() -> None:
        for each in locked:
            each.lock = threading.RLock()

    os.register_at_fork(after_in_child=renew)
