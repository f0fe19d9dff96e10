"""Jobs for later wait in Redis, in a sorted set by their time, and are queued when it has come.

Celery hands a message with an ETA to a worker at once, which holds it in memory until then: a year's delay is a year
of some worker's memory, and a restart delivers all of them again. Here a worker sees a message when it is due.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from libs.flask_celery.place_scripts import PROMOTE
from libs.flask_celery.server_script import run_script
from libs.flask_celery.worker_steps import RedisStep, ThreadStep, consumer_channel

logger = logging.getLogger(__name__)

#: Seconds between two looks at the most, so that a job submitted meanwhile is not late.
LONGEST_SLEEP = 0.5

_AT_ONCE = 500


def due_at(headers: Mapping[str, Any]) -> float:
    """When a task message may run, in Unix seconds; 0 when it may at once.

    Raises: ValueError, TypeError for an ``eta`` that is no ISO 8601 time.
    """
    eta = headers.get("eta")
    if not eta:
        return 0.0
    moment = datetime.fromisoformat(eta)
    # Celery writes a zone; what comes without one it reads as UTC (celery/worker/strategy.py).
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class DelayKeeper(RedisStep, ThreadStep):
    """Each worker queues what is due, whoever's it is; the script sees to it that each message is queued once."""

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        sleep = 0.0
        while not self.stopping.wait(sleep):
            sleep = LONGEST_SLEEP
            channel = consumer_channel(worker)
            if channel is None:  # starting, or connecting again
                continue
            try:
                with Redis(connection_pool=channel.pool) as client:
                    until_next = run_script(client, PROMOTE, [], [_AT_ONCE, channel.global_keyprefix])
            except (RedisError, OSError) as error:
                logger.warning("Delayed jobs could not be queued: %r", error)
            except Exception:
                logger.exception("Delayed jobs could not be queued")
            else:
                if until_next >= 0:
                    sleep = min(LONGEST_SLEEP, until_next / 1000)
