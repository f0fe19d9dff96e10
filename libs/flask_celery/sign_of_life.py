"""A file that a worker touches while it is well, for whoever restarts processes that hang.

``celery inspect ping`` tells the same, but is a whole application started for each question, and fails when Redis is
away, which no restart would bring back. A worker whose event loop hangs is worse off than a dead one: its leases are
renewed by a thread, so nobody else ever gets its jobs.
"""

import logging
import time
from pathlib import Path
from typing import Any

from celery.bootsteps import RUN

from libs.flask_celery.worker_steps import ThreadStep

logger = logging.getLogger(__name__)

#: Seconds between two touches. Who reads the file should allow for several of them.
INTERVAL = 5.0

#: Seconds that a broker has to answer in.
_PATIENCE = 2.0


class SignOfLife(ThreadStep):
    """Touches the file from the worker's event loop, so that it grows old when the loop hangs.

    While there is no loop to hang (the worker connects or ends, or its pool has none, as gevent), and while the loop
    waits for a broker that answers nobody, it says that the process lives. A solo pool's job holds up the loop for as
    long as it runs.
    """

    def include_if(self, worker: Any) -> bool:
        """Whether somebody wants to know."""
        return bool(worker.app.heartbeat_file)

    def run(self, worker: Any) -> None:
        """Have it touched, and again."""
        file = Path(worker.app.heartbeat_file)
        while True:
            if _is_in_its_loop(worker):
                worker.hub.call_soon(_touch, file)
                # A restart brings no silent broker back, and cuts short what runs. A loop that goes on waiting when
                # others are answered has lost its connection without a word, and does want one.
                if _age(file) > 2 * INTERVAL and not _broker_answers(worker):
                    _touch(file)
            else:
                _touch(file)
            # A worker that ends lets its jobs run on and is well meanwhile: the thread ends with the process.
            time.sleep(INTERVAL)


def _is_in_its_loop(worker: Any) -> bool:
    """The loop is the last of the consumer's steps, and ends with the others' stop."""
    consumer = getattr(worker, "consumer", None)
    if getattr(worker, "hub", None) is None or consumer is None or worker.blueprint.state != RUN:
        return False
    return bool(consumer.blueprint.started == len(consumer.steps))


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime if file.exists() else 0.0


def _broker_answers(worker: Any) -> bool:
    """Over a connection of its own; whatever is wrong with it, the loop cannot do better."""
    options = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "max_retries": 0}
    try:
        with worker.app.connection_for_read(connect_timeout=_PATIENCE, transport_options=options) as connection:
            connection.connect()
            connection.default_channel  # noqa: B018 - of Redis, this is what asks it
    except Exception as error:  # noqa: BLE001
        logger.warning("The broker does not answer: %r", error)
        return False
    return True


def _touch(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:  # a full disk, say: the worker is well, and whoever reads the file is told otherwise
        logger.warning("The sign of life could not be given: %r", error)
