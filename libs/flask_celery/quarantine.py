"""Looking into the quarantine and emptying it, from outside of a worker; ``parking`` is what fills it."""

from collections import Counter
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.parking import quarantine_key, release
from libs.flask_celery.place_scripts import QUARANTINED

if TYPE_CHECKING:
    from celery import Celery

    from libs.flask_celery.claiming import ClaimingChannelMixin


def quarantined(celery_app: "Celery") -> dict[tuple[str, str], int]:
    """How many jobs wait, by queue and task. Nothing where the broker is not Redis."""
    with broker_channel(celery_app) as channel:
        return {} if channel is None else dict(sorted(_waiting(channel).items()))


def release_from_quarantine(celery_app: "Celery", *, task: str | None = None) -> int:
    """Put the jobs back in their queues, those of ``task`` or all. Returns: how many."""
    with broker_channel(celery_app) as channel:
        if channel is None:
            return 0
        return sum(
            release(channel, queue, name, count)
            for (queue, name), count in _waiting(channel).items()
            if task in (None, name)
        )


def _waiting(channel: "ClaimingChannelMixin") -> Counter[tuple[str, str]]:
    start = len(channel.prefixed(quarantine_key("", ""))) - 1
    keys = (bytes_to_str(key) for key in channel.plain_client.hvals(channel.prefixed(QUARANTINED)))
    # A task's name has no colon, a queue's may.
    parts = (key[start:].rpartition(":") for key in keys)
    return Counter((queue, task) for queue, _, task in parts)
