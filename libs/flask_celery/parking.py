"""Where messages go that cannot be run: dead letters for what nobody can read, quarantine for unknown tasks.

``taskgate-dead-letters``                 list, newest first, of JSON {queue, reason, parked_at, message}; bounded
``taskgate-quarantine-<queue>:<task>``    list, newest first, of messages as they were; all are kept, they are jobs

A quarantined message goes back to its queue when a worker that consumes the queue and knows the task comes by, as in
a rolling deploy where the new version submits before the old workers are gone.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from libs.flask_celery.delivery_scripts import PARK
from libs.flask_celery.place_scripts import RELEASE

if TYPE_CHECKING:
    from libs.flask_celery.claiming import ClaimingChannelMixin

DEAD_LETTERS = "taskgate-dead-letters"

#: Dead letters kept, the newest.
MOST_DEAD_LETTERS = 10_000

_RELEASED_AT_ONCE = 100


def quarantine_key(queue: str, task: str) -> str:
    """The list of a queue's messages for a task that a worker of it did not know."""
    return f"taskgate-quarantine-{queue}:{task}"


def park_unreadable(channel: "ClaimingChannelMixin", tag: str, message: str, queue: str, reason: str) -> None:
    """Move a leased message to the dead letters, as text and with the reason."""
    letter = {"id": tag, "queue": queue, "reason": reason, "parked_at": time.time(), "message": message}
    keys = [*channel.lease_keys, channel.prefixed(DEAD_LETTERS)]
    channel.run_script(PARK, keys, [tag, channel.qos.task_ids.get(tag, ""), dumps(letter), MOST_DEAD_LETTERS])


def park_invalid(message: Any, reason: str) -> None:
    """Move a delivered message that no worker can run to the dead letters."""
    channel, tag = message.channel, message.delivery_tag
    payload, queue = _held(channel, tag)
    park_unreadable(channel, tag, dumps(payload), queue, reason)
    settle(message)


def quarantine(message: Any, task: str) -> None:
    """Move a delivered message for an unknown task to quarantine."""
    channel, tag = message.channel, message.delivery_tag
    payload, queue = _held(channel, tag)
    keys = [*channel.lease_keys, channel.prefixed(quarantine_key(queue, task))]
    channel.run_script(PARK, keys, [tag, (message.headers or {}).get("id") or "", dumps(payload), 0])
    settle(message)


def release_quarantined(channel: "ClaimingChannelMixin", tasks: Iterable[str]) -> int:
    """Put back what waits for ``tasks`` in the queues that ``channel`` consumes. Returns: how many messages."""
    pairs = [(queue, task) for queue in tuple(channel.active_queues) for task in tasks]
    with channel.plain_client.pipeline(transaction=False) as pipe:
        for queue, task in pairs:
            pipe.llen(channel.prefixed(quarantine_key(queue, task)))
        waiting = pipe.execute()
    return sum(release(channel, queue, task, count) for (queue, task), count in zip(pairs, waiting, strict=True))


def release(channel: "ClaimingChannelMixin", queue: str, task: str, count: int) -> int:
    """Put ``count`` jobs for ``task`` back in ``queue``, the oldest first. Returns: how many there were."""
    keys = [channel.prefixed(quarantine_key(queue, task)), *channel.lists_of(queue)]
    released = 0
    for done in range(0, count, _RELEASED_AT_ONCE):
        released += channel.run_script(
            RELEASE, keys, [min(count - done, _RELEASED_AT_ONCE), queue, *channel.priority_steps]
        )
    return released


def _held(channel: "ClaimingChannelMixin", tag: str) -> tuple[dict[str, Any], str]:
    """The message as it was published and the queue it was claimed from."""
    held = channel.plain_client.hget(channel.lease_keys[1], tag)
    if held is None:
        return {}, ""
    payload, _, queue = loads(bytes_to_str(held))
    return payload, queue


def settle(message: Any) -> None:
    """Free the worker's place for it; Redis has been told already."""
    message.channel.qos.settle(message.delivery_tag)
    message._state = "REJECTED"
