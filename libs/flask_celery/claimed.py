"""What a worker has claimed and not acknowledged: kombu's quality of service, without a second step at delivery."""

import logging
from typing import TYPE_CHECKING, Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.bundles.open_bundles import open_bundles
from libs.flask_celery.delivery_scripts import EXPIRED
from libs.flask_celery.fetching_ahead import give_back_ahead
from libs.flask_celery.lease import running_tags
from libs.flask_celery.unsent_acks import send_acks, unsent_acks

if TYPE_CHECKING:
    from libs.flask_celery.claiming import ClaimingChannelMixin

logger = logging.getLogger(__name__)


class ClaimedMessages(kombu_redis.QoS):  # type: ignore[misc]
    """Keeps what is delivered; the claim has already registered it in Redis."""

    channel: "ClaimingChannelMixin"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The job of each delivery tag, until it is acknowledged.
        self.task_ids: dict[str, str] = {}

    def can_consume(self) -> bool:
        """Whether there is a place for another one. What the pool has in a bundle takes up one."""
        bundler, most = self.channel.bundler, self.prefetch_count
        extra = bundler.beyond_calls(self.channel) if bundler else 0
        return not most or len(self._delivered) - len(self._dirty) - extra < most

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember the message here only."""
        self.task_ids[delivery_tag] = (message.headers or {}).get("id") or ""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge: with the claim that follows at once, or now when none does.

        When the connection is gone, later, so that the finished job is not delivered again.
        """
        unsent_acks.add({delivery_tag: self.task_ids.get(delivery_tag, "")})
        self.settle(delivery_tag)
        if not self.channel.is_about_to_claim():
            self._send_acks()

    def _send_acks(self) -> None:
        try:
            send_acks(self.channel)
        except self.channel.connection_errors:
            logger.debug("Acknowledgements wait until the connection is back")

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give back, or acknowledge."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self.restore_by_tag(delivery_tag)
        self.settle(delivery_tag)

    def settle(self, delivery_tag: str) -> None:
        """Forget a message; Redis has been told."""
        self.task_ids.pop(delivery_tag, None)
        virtual.QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> list[Any]:
        """Give back, as the channel closes, what has not been started; what runs is acknowledged when it ends."""
        try:
            open_bundles.break_up()
        except self.channel.connection_errors:
            logger.debug("Short jobs that have not begun stay in their bundles, as the connection is gone")
        running = running_tags()
        for tag in list(self._delivered):
            if tag not in running:
                self.restore_by_tag(tag)
        self._delivered.clear()
        give_back_ahead(self.channel)
        self._send_acks()
        return []

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """Give back the messages of dead workers: those whose lease is over."""
        channel = self.channel
        expired = channel.run_script(EXPIRED, channel.lease_keys, [self.visibility_timeout, num or 100])
        for tag, score, held in expired:
            channel.restore(bytes_to_str(tag), bytes_to_str(held), score=bytes_to_str(score))

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Give back one message that this worker holds."""
        held = self.channel.plain_client.hget(self.channel.lease_keys[1], tag)
        if held is not None:
            self.channel.restore(tag, bytes_to_str(held))
