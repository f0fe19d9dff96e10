"""The counted jobs, in a worker whose main process has a thread that all but always holds locks that a job needs."""

import threading
import time
from contextlib import ExitStack
from functools import cached_property

import tests.delivery.counted_jobs  # noqa: F401 - registers its tasks
from libs.flask_celery.backend import JobBackend

_PROPERTIES = [
    value
    for kind in JobBackend.__mro__
    for value in vars(kind).values()
    if isinstance(value, cached_property) and hasattr(value, "lock")
]


def _hold() -> None:
    while True:
        with ExitStack() as held:
            for each in _PROPERTIES:
                held.enter_context(each.lock)
            time.sleep(0.2)
        time.sleep(0.001)


threading.Thread(target=_hold, daemon=True).start()
