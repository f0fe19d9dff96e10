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
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from libs.flask_celery.claimed import ClaimedMessages
from libs.flask_celery.delivering import deliver, deliver_together
from libs.flask_celery.delivery_scripts import CLAIM, RESTORE
from libs.flask_celery.fetching_ahead import MOST, TOGETHER, Ahead, Claimed, give_back_ahead
from libs.flask_celery.giving_back import is_stopping
from libs.flask_celery.parking import park_unreadable
from libs.flask_celery.permits import GOOD_FOR
from libs.flask_celery.place_scripts import wake_key
from libs.flask_celery.queue_lists import QueueListsMixin
from libs.flask_celery.server_script import RedisRefusesError, script_sha
from libs.flask_celery.unsent_acks import unsent_acks

if TYPE_CHECKING:
    from libs.flask_celery.bundles.bundler import Bundler

logger = logging.getLogger(__name__)

#: Longest wait, in seconds, for a token; what a stock client's message may wait at an idle worker.
IDLE_WAIT = 0.25

#: Shortest one, before the next turn of a rate limit (see ``line_scripts``).
_SHORTEST_WAIT = 0.01


class ClaimingChannelMixin(QueueListsMixin):
    """Claims instead of BRPOP; restores by comparing; parks what it cannot read."""

    QoS: ClassVar[type] = ClaimedMessages
    _waits_for_token = False
    _claim_tag = ""
    _is_unanswered = False  # a claim whose messages, if there are any, this channel does not know
    _claim_acks: Mapping[str, str] = MappingProxyType({})  # task ids by tag, that the claim under way acknowledges

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ahead = Ahead(self.connection)
        self.bundler: Bundler | None = None  # the consumer's

    def close(self) -> None:
        """Give back what has been claimed, and let go of the loop."""
        super().close()
        self.ahead.nudge.close()

    def _get_pool(self, asynchronous: bool = False) -> Any:
        # kombu clears these when Redis goes away, and would end the worker with an AttributeError on the way
        # (kombu/transport/redis.py, _connparams); a connection error is what its callers know how to treat.
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("This channel's connection is closed.")
        return super()._get_pool(asynchronous)

    def held_tags(self) -> set[str]:
        """Delivery tags of all that this channel has taken and not acknowledged. Callable from another thread."""
        while True:
            try:
                delivered = set(self.qos._delivered) - set(self.qos._dirty)
            except RuntimeError:  # it changed while it was read
                continue
            return delivered | set(self.claimed_tags())

    def claimed_tags(self) -> list[str]:
        """Of what this channel has taken, or may have, and not delivered to its consumer, the next one first."""
        under_way = [self._claim_tag, *(f"{self._claim_tag}.{place}" for place in range(1, MOST + 1))]
        return [*self.ahead.tags(), *(under_way if self._is_unanswered else ())]

    def is_about_to_claim(self) -> bool:
        """Whether a claim follows as soon as there is a place for a message, which can carry acknowledgements."""
        return bool(self.active_queues) and not (self._in_poll or self._closing or is_stopping())

    # Consuming: kombu's poller calls _brpop_start to send a command and _brpop_read when its reply has come.

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Note which queues are consumed without acknowledgement, as replies to ``inspect`` are."""
        self.__dict__.setdefault("_no_ack_queues", set())
        (self._no_ack_queues.add if no_ack else self._no_ack_queues.discard)(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        if is_stopping():
            give_back_ahead(self)
        while self.qos.can_consume() and (claimed := self.ahead.next()):
            if claimed.queue in self.active_queues:
                deliver(self, claimed)
                self.ahead.nudge()
            else:  # the worker was told to leave it meanwhile
                self.qos.restore_by_tag(claimed.tag)
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues or not self.qos.can_consume():
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
        self._is_unanswered = True
        self._brpop_sent_at = time.monotonic()
        self._claim_acks = {**self._claim_acks, **unsent_acks.take()}
        acknowledged = [part for ack in self._claim_acks.items() for part in ack]
        short = [part for task in self.ahead.short_tasks.items() for part in task]
        self.client.connection.send_command(
            *(*command, len(keys), *keys, self._claim_tag, *map(dumps, self._claimed_queues)),
            *(MOST, TOGETHER, *self._where_records_are(), len(self._claim_acks), *acknowledged, *short),
            self.global_keyprefix,
        )

    def _where_records_are(self) -> tuple[Any, Any, str]:
        """The broker's database, and the records' with their prefix, both empty when they are on another server."""
        return "", "", ""

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
            if self._closing:  # nobody would read the answer
                self._in_poll = None
                self._keep_claim_acks()
                raise Empty from None
            self._claim(list(dict.fromkeys(self._claimed_queues)), whole_script=True)
            raise Empty from None
        except self.connection_errors:
            self._in_poll = None
            self._keep_claim_acks()
            connection.disconnect()
            raise
        except ResponseError as refusal:
            # Whatever it is, a claim that got no answer is over, and closing this channel must not wait for one.
            self._in_poll = None
            self._keep_claim_acks()
            raise RedisRefusesError(str(refusal)) from refusal
        if not self._waits_for_token:
            self._claim_acks = {}
        if self._closing:
            if not self._waits_for_token and isinstance(reply, list):
                for place in reversed(range(len(reply))):
                    self.qos.restore_by_tag(self._tag_of(place))
            self._in_poll = None
            raise Empty
        if self._waits_for_token:
            self._in_poll = None
            self._brpop_start()  # sends nothing when the worker was told to leave its last queue meanwhile
            raise Empty
        if not isinstance(reply, list):
            self._is_unanswered = False
            self._wait_for_token(reply)
            raise Empty
        first, *others = [
            Claimed(
                *(self._tag_of(at), message, self._claimed_queues[place - 1], int(fence), bool(in_turn)),
                self._brpop_sent_at + GOOD_FOR if permitted else 0.0,
            )
            for at, (place, message, fence, in_turn, permitted) in enumerate(reply)
        ]
        self.ahead.put(others)
        self._is_unanswered = False
        self._in_poll = None
        self._queue_cycle.rotate(first.queue)
        if self.bundler is not None and self.bundler.is_free:
            deliver_together(self, self.bundler, first)
        else:
            deliver(self, first)
        return True

    def _keep_claim_acks(self) -> None:
        unsent_acks.add(self._claim_acks)
        self._claim_acks = {}

    def _tag_of(self, place: int) -> str:
        """Of a message of this claim, from 0."""
        return f"{self._claim_tag}.{place}" if place else self._claim_tag

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
        arguments = [tag, score, task_id, dumps(payload), *self._where_records_are()[1:], *queues]
        return bool(self.run_script(RESTORE, [*self.lease_keys, *lists], arguments))
