"""Faults for workers of both systems: a moment that is otherwise too short to hit. Loaded with Celery's ``-I``.

``FAULT`` in the environment names the one to arm; each is put where both systems pass.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery.backends.base import Backend
from kombu.transport.virtual.base import Transport


def die_with_a_message_in_hand() -> None:
    """SIGKILL between the reply of Redis and the first line of kombu that works on the message."""
    deliver = Transport._deliver

    def deliver_or_die(self: Transport, message: Any, queue: str) -> Any:
        if queue == "default":
            os.kill(os.getpid(), signal.SIGKILL)
        return deliver(self, message, queue)

    Transport._deliver = deliver_or_die


def fail_when_redis_is_back() -> None:
    """A job that Celery has given up on storing as a success is stored as a failure no sooner than Redis is back."""
    mark_as_failure = Backend.mark_as_failure
    folder = Path(os.environ["PROBE_FOLDER"])

    def mark_when_told(self: Backend, *args: Any, **kwargs: Any) -> Any:
        (folder / "gave up").touch()
        while not (folder / "redis is back").exists():
            time.sleep(0.02)
        return mark_as_failure(self, *args, **kwargs)

    Backend.mark_as_failure = mark_when_told


FAULTS = {fault.__name__: fault for fault in (die_with_a_message_in_hand, fail_when_redis_is_back)}

FAULTS[os.environ["FAULT"]]()
