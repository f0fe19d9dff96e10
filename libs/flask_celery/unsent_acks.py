"""Acknowledgements that have not been sent: they go with the next claim, or by themselves when none is to come.

An acknowledgement says that a job's message is not needed any more, and by then the job's end is stored. So a worker
that dies with some in its hands loses nothing: their jobs are final, and a delivery of them is skipped.
"""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from redis import Redis

from libs.flask_celery.delivery_scripts import ACK
from libs.flask_celery.server_script import run_script

if TYPE_CHECKING:
    from libs.flask_celery.claiming import ClaimingChannelMixin

#: Seconds that one waits for a claim to go with.
LONGEST_WAIT = 0.25

_AT_ONCE = 500


class UnsentAcks:
    """For any thread."""

    def __init__(self) -> None:
        self._tags: dict[str, str] = {}
        self._since = 0.0
        self._lock = threading.Lock()

    def add(self, tags: Mapping[str, str]) -> None:
        """Keep these for later, task ids by tag."""
        with self._lock:
            self._since = self._since if self._tags else time.monotonic()
            self._tags |= tags

    def take(self, most: int = _AT_ONCE) -> dict[str, str]:
        """The task ids, by tag, of those that have waited longest; they are the caller's now."""
        with self._lock:
            return {tag: self._tags.pop(tag) for tag in list(self._tags)[:most]}

    def are_overdue(self) -> bool:
        """Whether one has waited longer than any should."""
        return bool(self._tags) and time.monotonic() - self._since >= LONGEST_WAIT


#: Of this worker process.
unsent_acks = UnsentAcks()


def send_acks(channel: "ClaimingChannelMixin", client: "Redis | None" = None) -> None:
    """Send all there are, or keep for later what could not be sent. Raises: redis-py's errors."""
    while tags := unsent_acks.take():
        arguments = [part for ack in tags.items() for part in ack]
        try:
            run_script(
                client or channel.plain_client, ACK, channel.lease_keys, [*arguments, channel.global_keyprefix]
            )
        except BaseException:
            unsent_acks.add(tags)
            raise
