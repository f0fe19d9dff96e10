"""The broker's Redis, for code that is no worker: the same channel that publishes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import RedisError

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.line_scripts import TAKE_DELAYED
from libs.flask_celery.place_scripts import PUT

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
    """Drop the message of a job that was cancelled before its time. Left there, it would be skipped when due.

    A part of a chord is queued now instead: the worker that skips it tells the chord.
    """
    try:
        with broker_channel(celery_app) as channel:
            taken = channel and channel.run_script(TAKE_DELAYED, [], [task_id])
            if not channel or not taken:
                return
            list_name, queue, text = map(bytes_to_str, taken)
            message = loads(text)
            if message["headers"].get("group"):
                message["headers"]["eta"] = None
                channel.run_script(PUT, [list_name], [queue, task_id, dumps(message), 0, ""])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("The message of the cancelled job %s stays until it is due: %r", task_id, error)
