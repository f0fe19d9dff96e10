"""Whether a Redis keeps what it is given: said when a worker starts, before jobs depend on it."""

import logging
from collections.abc import Mapping
from typing import Any

from celery.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from libs.flask_celery.worker_steps import RedisStep

logger = logging.getLogger(__name__)

OLDEST_VERSION = (6, 2)


def problems_of(info: Mapping[str, Any]) -> list[str]:
    """What is wrong with a server, from its INFO; each a sentence that says what to do."""
    problems = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        problems.append(
            f"Redis may drop jobs when its memory is full (maxmemory-policy {policy}). Set it to noeviction."
        )
    if not info.get("aof_enabled"):
        problems.append("Redis forgets accepted jobs when it is killed (appendonly no). Set appendonly yes.")
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST_VERSION:
        problems.append(f"Redis {version} is older than 6.2, the oldest this is tested with. Use a newer one.")
    return problems


class RedisCheck(RedisStep):
    """Warns; refuses to start when the settings say ``strict_redis``."""

    def start(self, worker: Any) -> None:
        """Ask the broker's Redis. One that does not answer is the consumer's to wait for."""
        try:
            with worker.app.connection_for_read() as connection:
                channel = connection.default_channel
                with Redis(connection_pool=channel.pool) as client:
                    problems = problems_of(client.info())
        except (RedisError, OperationalError, OSError) as error:
            logger.warning("Redis could not be checked: %r", error)
            return
        for problem in problems:
            logger.warning(problem)
        if problems and worker.app.strict_redis:
            raise ImproperlyConfigured(f"STRICT_REDIS is on. {' '.join(problems)}")
