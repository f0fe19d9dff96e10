"""A queue in Redis: its lists, one a step of priority, and the scripts that are run on them."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from kombu.transport import redis as kombu_redis
from redis import Redis

from libs.flask_celery.place_scripts import PURGE, PURGED, order_key, wake_key
from libs.flask_celery.server_script import run_script


class QueueListsMixin(kombu_redis.Channel):  # type: ignore[misc]
    """Knows where messages are kept, and under which names."""

    @property
    def plain_client(self) -> Redis:
        """One client for the channel's life on its current pool; keys are prefixed by hand."""
        held = self.__dict__.get("_plain_client")
        if held is None or held.connection_pool is not self.pool:
            held = self.__dict__["_plain_client"] = Redis(connection_pool=self.pool)
        return held

    @property
    def lease_keys(self) -> list[str]:
        """Of the sorted set and the hash of what workers hold."""
        return [self.prefixed(self.unacked_index_key), self.prefixed(self.unacked_key)]

    def prefixed(self, key: str) -> str:
        """With the deployment's prefix."""
        return f"{self.global_keyprefix}{key}"

    def run_script(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run one of the scripts that move messages, in this deployment. Raises: as ``server_script.run_script``."""
        return run_script(self.plain_client, script, keys, [*arguments, self.global_keyprefix])

    def list_for(self, queue: str, message: Mapping[str, Any]) -> str:
        """The list for a message of this priority; with the deployment's prefix."""
        return self.prefixed(self._q_for_pri(queue, self._get_message_priority(message, reverse=False)))

    def lists_of(self, queue: str) -> list[str]:
        """A queue's lists, one a step of priority, the most urgent first; with the deployment's prefix."""
        return [self.prefixed(self._q_for_pri(queue, step)) for step in self.priority_steps]

    def _purge(self, queue: str) -> int:
        """``celery purge``: what waited is cancelled, by the reconciler, so that its clients hear of it."""
        purged = [
            self.run_script(PURGE, [name, self.prefixed(f"{PURGED}-{uuid4()}")], []) for name in self.lists_of(queue)
        ]
        return sum(purged)

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, *args, **kwargs)
        self.plain_client.delete(self.prefixed(wake_key(queue)), *map(order_key, self.lists_of(queue)))
