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

#: Seconds until a reply that is still there counts as one that nobody reads.
PATIENCE = 3.0


@dataclass(frozen=True)
class LeftBehind:
    subscriptions: int
    unread_replies: bool


def unread_bytes(process: int, redis: Redis) -> int:
    """What the process has received over its connections and not read."""
    redis.ping()  # answered after what the server had to do before
    links = [path.readlink().name for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()]
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links}
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(socket[4].partition(":")[2], 16) for socket in sockets if socket[9] in own)  # queues, inode


def observe(system: System) -> LeftBehind:
    system.client.ask("publish_and_hold", PUBLISHES)
    subscriptions = len(system.results.pubsub_channels("*celery-task-meta*"))
    system.client.ask("let_go")
    # What is only on its way is read in a moment; what nobody reads stays.
    deadline = time.monotonic() + PATIENCE
    publishing = system.client.process.pid
    while (unread := unread_bytes(publishing, system.results)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return LeftBehind(subscriptions, unread > 0)


@contrast(
    stock=LeftBehind(subscriptions=PUBLISHES, unread_replies=True),
    ours=LeftBehind(subscriptions=0, unread_replies=False),
)
def test_publishing_subscribes_to_nothing(system: System, expected: LeftBehind) -> None:
    assert observe(system) == expected
