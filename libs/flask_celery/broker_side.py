"""The broker's Redis, for code that is no worker: the same channel that publishes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.place_scripts import FORGET_DELAYED

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)


@contextmanager
def broker_channel(celery_app: "Celery") -> Iterator[ClaimingChannelMixin | None]:
    """A channel to the broker, of the pool that publishes take theirs from; None where the broker is not Redis.

    Raises: kombu's OperationalError and redis-py's connection errors when it is away.
    """
    with celery_app.producer_or_acquire() as producer:
        channel: Any = producer.channel
        yield channel if isinstance(channel, ClaimingChannelMixin) else None


def forget_delayed(celery_app: "Celery", task_id: str) -> None:
    """Drop the message of a job that was cancelled before its time. Left there, it would be skipped when due."""
    try:
        with broker_channel(celery_app) as channel:
            if channel is not None:
                channel.run_script(FORGET_DELAYED, [], [task_id])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("The message of the cancelled job %s stays until it is due: %r", task_id, error)
