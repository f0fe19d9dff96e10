"""Taking messages from Redis so that none is ever in neither place.

kombu takes a message with BRPOP and registers it as unacknowledged in a second step; a worker killed between the
two loses it (kombu issue 305, celery issue 4354). Here one script does both. It cannot block, so an idle worker waits
on a *wake list* of its queues, where every publish of this library leaves a token: losing a token loses nothing.
Stock clients leave none; their messages are seen when the wait ends, within :data:`IDLE_WAIT`.
"""

import logging
import time
from collections.abc import Mapping
from queue import Empty
from typing import Any, ClassVar
from uuid import uuid4

from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from libs.flask_celery.acceptance import FENCE_HEADER
from libs.flask_celery.claimed import ClaimedMessages
from libs.flask_celery.delays import due_at
from libs.flask_celery.delivery_scripts import ACK, CLAIM, DELAY, RESTORE
from libs.flask_celery.parking import park_unreadable
from libs.flask_celery.place_scripts import PURGE, PURGED, order_key, wake_key
from libs.flask_celery.readable import check_envelope
from libs.flask_celery.server_script import RedisRefusesError, run_script, script_sha

logger = logging.getLogger(__name__)

#: Seconds by which a worker's clock may be ahead of the server's.
_CLOCK_SKEW = 3600.0

#: Longest wait, in seconds, for a token; what a stock client's message may wait at an idle worker.
IDLE_WAIT = 0.25

#: Shortest one, before the next turn of a rate limit (see ``line_scripts``).
_SHORTEST_WAIT = 0.01

#: In the ``delivery_info`` of what is delivered: the queue it was taken from, and whether its turn has been counted.
CLAIMED_FROM, IN_TURN = "claimed_from", "in_turn"


class ClaimingChannelMixin(kombu_redis.Channel):  # type: ignore[misc]
    """Claims instead of BRPOP; restores by comparing; parks what it cannot read."""

    QoS: ClassVar[type] = ClaimedMessages
    _waits_for_token = False
    _claim_tag = ""

    @property
    def plain_client(self) -> Redis:
        """One client for the channel's life on its current pool; keys are prefixed by hand."""
        held = self.__dict__.get("_plain_client")
        if held is None or held.connection_pool is not self.pool:
            held = self.__dict__["_plain_client"] = Redis(connection_pool=self.pool)
        return held

    def _get_pool(self, asynchronous: bool = False) -> Any:
        # kombu clears these when Redis goes away, and would end the worker with an AttributeError on the way
        # (kombu/transport/redis.py, _connparams); a connection error is what its callers know how to treat.
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("This channel's connection is closed.")
        return super()._get_pool(asynchronous)

    @property
    def lease_keys(self) -> list[str]:
        """Of the sorted set and the hash of what workers hold."""
        return [self.prefixed(self.unacked_index_key), self.prefixed(self.unacked_key)]

    def prefixed(self, key: str) -> str:
        """With the deployment's prefix."""
        return f"{self.global_keyprefix}{key}"

    def held_tags(self) -> set[str]:
        """Delivery tags of all that this channel has taken and not acknowledged. Callable from another thread."""
        while True:
            try:
                delivered = set(self.qos._delivered) - set(self.qos._dirty)
            except RuntimeError:  # it changed while it was read
                continue
            return delivered | {self._claim_tag}

    def run_script(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run one of the scripts that move messages, in this deployment. Raises: as ``server_script.run_script``."""
        return run_script(self.plain_client, script, keys, [*arguments, self.global_keyprefix])

    # Consuming: kombu's poller calls _brpop_start to send a command and _brpop_read when its reply has come.

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Note which queues are consumed without acknowledgement, as replies to ``inspect`` are."""
        self.__dict__.setdefault("_no_ack_queues", set())
        (self._no_ack_queues.add if no_ack else self._no_ack_queues.discard)(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._in_poll = self.client.connection
        self._claim(queues)

    def _claim(self, queues: list[str], *, whole_script: bool = False) -> None:
        self._claimed_queues = [queue for _ in self.priority_steps for queue in queues]
        self._claim_tag = str(uuid4())
        lists = [self.prefixed(self._q_for_pri(queue, step)) for step in self.priority_steps for queue in queues]
        keys = [*self.lease_keys, *lists]
        command = ("EVAL", CLAIM) if whole_script else ("EVALSHA", script_sha(CLAIM))
        self._waits_for_token = False
        self._brpop_sent_at = time.monotonic()
        self.client.connection.send_command(
            *command, len(keys), *keys, self._claim_tag, *map(dumps, self._claimed_queues), self.global_keyprefix
        )

    def _wait_for_token(self, next_turn: int) -> None:
        """Until there is a message, or it is a waiting job's turn, in so many milliseconds (0: no job waits)."""
        longest = min(IDLE_WAIT, max(next_turn / 1000, _SHORTEST_WAIT)) if next_turn else IDLE_WAIT
        keys = [self.prefixed(wake_key(queue)) for queue in dict.fromkeys(self._claimed_queues)]
        self._waits_for_token = True
        self._brpop_sent_at = time.monotonic()
        self.client.connection.send_command("BRPOP", *keys, longest)

    def _brpop_read(self, **options: Any) -> bool:
        connection = self.client.connection
        try:
            reply = connection.read_response()
        except NoScriptError:
            self._claim(list(dict.fromkeys(self._claimed_queues)), whole_script=True)
            raise Empty from None
        except self.connection_errors:
            self._in_poll = None
            connection.disconnect()
            raise
        except ResponseError as refusal:
            # Whatever it is, a claim that got no answer is over, and closing this channel must not wait for one.
            self._in_poll = None
            raise RedisRefusesError(str(refusal)) from refusal
        if self._closing:
            self._in_poll = None
            if not self._waits_for_token and isinstance(reply, list):
                self.qos.restore_by_tag(self._claim_tag)
            raise Empty
        if self._waits_for_token:
            self._in_poll = None
            self._brpop_start()  # sends nothing when the worker was told to leave its last queue meanwhile
            raise Empty
        if not isinstance(reply, list):
            self._wait_for_token(reply)
            raise Empty
        self._in_poll = None
        place, message, fence, in_turn = reply
        queue = self._claimed_queues[place - 1]
        self._queue_cycle.rotate(queue)
        self._deliver_claimed(message, queue, int(fence), in_turn=bool(in_turn))
        return True

    def _deliver_claimed(self, message: bytes, queue: str, fence: int, *, in_turn: bool) -> None:
        """Hand a message to its consumer under the tag of this claim, which no other delivery of it has."""
        try:
            payload = loads(bytes_to_str(message))
            payload["properties"]["delivery_tag"] = self._claim_tag
            check_envelope(payload)
            payload["headers"][FENCE_HEADER] = fence
            payload["properties"]["delivery_info"] |= {CLAIMED_FROM: queue, IN_TURN: in_turn}
            # By this host's clock, to ask the server only about what may be early; its clock decides.
            is_early = bool(due_at(payload["headers"]) > time.time() - _CLOCK_SKEW and payload["headers"].get("id"))
        except Exception as error:
            # One unreadable message must not stop the worker, whatever is wrong with it.
            logger.exception("A message of queue %s cannot be read; it is parked among the dead letters", queue)
            park_unreadable(self, self._claim_tag, message.decode(errors="replace"), queue, f"unreadable: {error!r}")
            return
        if queue in self._no_ack_queues:  # nobody will acknowledge it, so its lease would give it back
            self.run_script(ACK, self.lease_keys, [self._claim_tag, ""])
        if not (is_early and self._delay_claimed(message, queue, payload)):
            self.connection._deliver(payload, queue)

    def _delay_claimed(self, message: bytes, queue: str, payload: dict[str, Any]) -> bool:
        """A stock client queued a message for later: it waits in Redis, not in a worker's memory.

        Returns: False when it is due by the server's clock.
        """
        keys = [*self.lease_keys, self.list_for(queue, payload)]
        headers = payload["headers"]
        return bool(self.run_script(DELAY, keys, [self._claim_tag, queue, headers["id"], message, due_at(headers)]))

    def restore(self, tag: str, held: str, *, score: str = "") -> bool:
        """Put a leased message back at the head of its queues. Returns: False when somebody else was first."""
        try:
            payload, exchange, routing_key = loads(held)
            payload["headers"]["redelivered"] = True
            payload["properties"]["delivery_info"]["redelivered"] = True
            queues = self._lookup(exchange, routing_key)
            lists = [self.list_for(queue, payload) for queue in queues]
        except Exception as error:
            logger.exception("A message that a worker held cannot be read; it is parked among the dead letters")
            park_unreadable(self, tag, held, "", f"unreadable: {error!r}")
            return False
        task_id = payload["headers"].get("id") or ""
        return bool(
            self.run_script(RESTORE, [*self.lease_keys, *lists], [tag, score, task_id, dumps(payload), *queues])
        )

    # The queues themselves.

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
