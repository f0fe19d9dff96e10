"""Ending the process of a running job that was cancelled the hard way, on whatever worker it runs.

The request stands in Redis until the job is final, so it reaches a worker that was starting or connecting again just
then, which Celery's ``revoke(terminate=True)``, a broadcast, does not. Looked for once a second.
"""

import logging
from typing import Any

from celery.worker import state
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from libs.flask_celery.worker_steps import ThreadStep

logger = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL = 1.0


class Terminator(ThreadStep):
    """Each worker ends what it runs itself. Asks the result database, so the broker may be any."""

    def __init__(self, worker: Any, **options: Any) -> None:
        self._asked: set[str] = set()
        super().__init__(worker, **options)

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        backend = worker.app.backend
        while not self.stopping.wait(INTERVAL):
            try:
                wanted = {bytes_to_str(task_id) for task_id in backend.client.zrange(backend.keys.terminate, 0, -1)}
            except (RedisError, OSError) as error:
                logger.warning("Jobs to end could not be looked for: %r", error)
                continue
            for request in tuple(state.active_requests) if wanted - self._asked else ():
                if request.id in wanted - self._asked:
                    worker.consumer.call_soon(_end, request, worker.pool)
            self._asked = wanted


def _end(request: Any, pool: Any) -> None:
    """In the consumer's own thread, where a job's end is handled."""
    try:
        request.terminate(pool, signal="KILL")
    except NotImplementedError:
        logger.warning(
            "Job %s runs in the worker's own process and cannot be ended; it stops at its next progress call",
            request.id,
        )
