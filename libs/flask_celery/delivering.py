"""A message that a worker has claimed, on its way to the consumer: read, or parked where it cannot be."""

import logging
import time
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from libs.flask_celery.acceptance import FENCE_HEADER
from libs.flask_celery.delays import due_at
from libs.flask_celery.delivery_scripts import ACK, DELAY
from libs.flask_celery.parking import park_unreadable
from libs.flask_celery.permits import PERMITTED_UNTIL
from libs.flask_celery.readable import check_envelope

if TYPE_CHECKING:
    from libs.flask_celery.bundles.bundler import Bundler
    from libs.flask_celery.claiming import ClaimingChannelMixin
    from libs.flask_celery.fetching_ahead import Claimed

logger = logging.getLogger(__name__)

#: Seconds by which a worker's clock may be ahead of the server's.
_CLOCK_SKEW = 3600.0

#: In the ``delivery_info`` of what is delivered: the queue it was taken from, and whether its turn has been counted.
CLAIMED_FROM, IN_TURN = "claimed_from", "in_turn"


def read_claimed(channel: "ClaimingChannelMixin", claimed: "Claimed") -> dict[str, Any] | None:
    """The message under the tag of its claim, which no other delivery of it has; None when it had to be parked."""
    try:
        payload: dict[str, Any] = loads(bytes_to_str(claimed.message))
        payload["properties"]["delivery_tag"] = claimed.tag
        check_envelope(payload)
        payload["headers"][FENCE_HEADER] = claimed.fence
        payload["properties"][PERMITTED_UNTIL] = claimed.permitted_until
        payload["properties"]["delivery_info"] |= {CLAIMED_FROM: claimed.queue, IN_TURN: claimed.in_turn}
        due_at(payload["headers"])  # readable as well
    except Exception as error:
        # One unreadable message must not stop the worker, whatever is wrong with it.
        logger.exception("A message of queue %s cannot be read; it is parked among the dead letters", claimed.queue)
        message = claimed.message.decode(errors="replace")
        park_unreadable(channel, claimed.tag, message, claimed.queue, f"unreadable: {error!r}")
        return None
    return payload


def deliver(channel: "ClaimingChannelMixin", claimed: "Claimed") -> None:
    """Hand a message to its consumer."""
    payload = read_claimed(channel, claimed)
    if payload is not None:
        _hand_on(channel, claimed, payload)


def deliver_together(channel: "ClaimingChannelMixin", bundler: "Bundler", first: "Claimed") -> None:
    """The same, along with those fetched ahead that the pool may be given in one call."""
    claimed: Claimed | None = first
    payload: dict[str, Any] | None = None
    with bundler.together():
        while claimed:
            payload = read_claimed(channel, claimed)
            if payload is not None and not bundler.may_take(payload):
                break
            if payload is not None:
                _hand_on(channel, claimed, payload)
            claimed = channel.ahead.next()
    if claimed is first and payload is not None:
        _hand_on(channel, first, payload)
    elif claimed:
        channel.ahead.put_back(claimed)


def _hand_on(channel: "ClaimingChannelMixin", claimed: "Claimed", payload: dict[str, Any]) -> None:
    headers, queue = payload["headers"], claimed.queue
    # By this host's clock, to ask the server only about what may be early; its clock decides.
    is_early = bool(due_at(headers) > time.time() - _CLOCK_SKEW and headers.get("id"))
    if queue in channel._no_ack_queues:  # nobody will acknowledge it, so its lease would give it back
        channel.run_script(ACK, channel.lease_keys, [claimed.tag, ""])
    if not (is_early and _delay(channel, claimed, payload)):
        channel.connection._deliver(payload, queue)


def _delay(channel: "ClaimingChannelMixin", claimed: "Claimed", payload: dict[str, Any]) -> bool:
    """A stock client queued a message for later: it waits in Redis, not in a worker's memory.

    Returns: False when it is due by the server's clock.
    """
    headers, tag, message, queue = payload["headers"], claimed.tag, claimed.message, claimed.queue
    keys = [*channel.lease_keys, channel.list_for(queue, payload)]
    return bool(channel.run_script(DELAY, keys, [tag, queue, headers["id"], message, due_at(headers)]))
