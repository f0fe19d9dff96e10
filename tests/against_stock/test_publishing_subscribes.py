"""What publishing leaves behind in a process that only publishes.

Stock: each publish subscribes to its result's channel and each result that is dropped unsubscribes, on a socket that
nobody reads (``celery/backends/redis.py``, ``on_task_call``): the replies fill it until Redis resets it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from tests.against_stock.systems import System, contrast

PUBLISHES = 100

ESTABLISHED = "01"  # as /proc/net/tcp has it

#: Seconds until a reply that is still there counts as one that nobody reads.
PATIENCE = 3.0


@dataclass(frozen=True)
class LeftBehind:
    subscriptions: int
    unread_replies: bool


def unread_bytes(redis: Redis, port: int) -> int:
    """What the clients of the server at ``port`` have received and not read.

    A connection that the server has ended, as that of an earlier test, counts the end as a byte; it is left out.
    """
    redis.ping()  # answered after what the server had to do before
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(queues.partition(":")[2], 16)
        for _, _, remote, state, queues, *_ in sockets
        if state == ESTABLISHED and is_port(remote, port)
    )


def is_port(address: str, port: int) -> bool:
    return int(address.partition(":")[2], 16) == port


def observe(system: System) -> LeftBehind:
    system.client.ask("publish_and_hold", PUBLISHES)
    subscriptions = len(system.results.pubsub_channels("*celery-task-meta*"))
    system.client.ask("let_go")
    # What is only on its way is read in a moment; what nobody reads stays.
    deadline = time.monotonic() + PATIENCE
    while (unread := unread_bytes(system.results, system.redis.port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return LeftBehind(subscriptions, unread > 0)


@contrast(
    stock=LeftBehind(subscriptions=PUBLISHES, unread_replies=True),
    ours=LeftBehind(subscriptions=0, unread_replies=False),
)
def test_publishing_subscribes_to_nothing(system: System, expected: LeftBehind) -> None:
    assert observe(system) == expected
