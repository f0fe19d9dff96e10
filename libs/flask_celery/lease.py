"""Leases: a worker's word, said again and again, that it still has its messages.

kombu notes once when a message was delivered and gives it back after the visibility timeout, whether its worker
lives or not; so the timeout must outlast the longest job, and a crash is noticed an hour later. Here a thread of each
worker renews the leases of everything it holds, what it has prefetched too, so the timeout can be short.
"""

import logging
from typing import Any

from celery.worker import state
from kombu.transport.redis import Channel
from redis import Redis
from redis.exceptions import RedisError

from libs.flask_celery.bundles.open_bundles import open_bundles
from libs.flask_celery.delivery_scripts import RENEW
from libs.flask_celery.parking import release_quarantined
from libs.flask_celery.server_script import run_script
from libs.flask_celery.unsent_acks import send_acks
from libs.flask_celery.worker_steps import RedisStep, ThreadStep, consumer_channel

logger = logging.getLogger(__name__)

#: Renewals in one visibility timeout: two may fail before a lease is over.
RENEWALS_PER_TIMEOUT = 3

_TAGS_PER_CALL = 1_000


def running_tags() -> set[str]:
    """Delivery tags of what this worker's pool runs right now, over whatever channel it came."""
    return {request.message.delivery_tag for request in tuple(state.active_requests)} | open_bundles.tags()


class LeaseKeeper(RedisStep, ThreadStep):
    """Renews the worker's leases from a thread of its own, so that a busy event loop does not lose them."""

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        options = worker.app.conf.broker_transport_options or {}
        interval = float(options.get("visibility_timeout", Channel.visibility_timeout)) / RENEWALS_PER_TIMEOUT
        while not self.stopping.wait(interval):
            channel = consumer_channel(worker)
            if channel is None:  # starting, or connecting again
                continue
            try:
                renew(channel)
                # Here as well as from the event loop, which gevent workers do not have.
                channel.qos.restore_visible(num=channel.unacked_restore_limit)
                release_quarantined(channel, list(worker.app.tasks))
            except (RedisError, OSError) as error:
                logger.warning("Leases could not be renewed: %r", error)
            except Exception:
                # Whatever it is, the next round may succeed, and without a keeper every lease is lost.
                logger.exception("Leases could not be renewed")


def renew(channel: Any) -> list[str]:
    """Renew everything held over ``channel`` and everything that runs. Returns: tags whose lease was lost.

    Uses a connection of its own: the channel's belong to the event loop.
    """
    tags = list(channel.held_tags() | running_tags())
    with Redis(connection_pool=channel.pool) as client:
        send_acks(channel, client)
        lost: list[str] = []
        for start in range(0, len(tags), _TAGS_PER_CALL):
            arguments = [*tags[start : start + _TAGS_PER_CALL], channel.global_keyprefix]
            gone = run_script(client, RENEW, [channel.lease_keys[0]], arguments)
            lost += [tag.decode() if isinstance(tag, bytes) else tag for tag in gone]
    if lost:
        # Also seen when a job ended between the list and the call, which is harmless.
        logger.debug("Leases that were gone at renewal: %s", lost)
    return lost
