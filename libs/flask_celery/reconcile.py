"""Jobs that were accepted and whose message is nowhere are put back in their queue.

Every step of ours moves a message in one script, so a message is lost only by what is not ours: a stock worker killed
between its pop and its registering, keys deleted by hand, a broker's database that was emptied, a process killed
between the record and the publish to another kind of broker. Clients have been told 202 all the same.

A job is put back when it has been in no place for :data:`GRACE` visibility timeouts: by then a stock worker has
registered what it popped, or is dead. Should it turn up twice nevertheless, the second run to start is the one that
counts (see ``record_scripts``).
"""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery import states
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from libs.flask_celery.delays import due_at
from libs.flask_celery.errors import ExpiredJobError, FinalJobError, UnknownJobError
from libs.flask_celery.message_copy import expanded
from libs.flask_celery.place_scripts import LISTS, PURGED, order_key
from libs.flask_celery.reconcile_scripts import LOCATED, MISSING, NOWHERE, PUT_BACK

if TYPE_CHECKING:
    from celery import Celery

    from libs.flask_celery.claiming import ClaimingChannelMixin

logger = logging.getLogger(__name__)

#: For how many visibility timeouts a message may be in no place before it counts as lost.
GRACE = 2.0

#: Missing messages of one list that one pass looks at.
_PER_LIST = 10_000

#: Unfinished jobs that one step of the walk looks at, and steps of one pass when the numbers say that some are lost.
_PER_STEP = 1_000
_MOST_STEPS = 20


class Reconciliation:
    """The passes of one process; it remembers since when a job has been missing."""

    def __init__(self, celery_app: "Celery", *, grace: float) -> None:
        self._app = celery_app
        self._backend = celery_app.backend
        self._grace = grace
        self._missing_since: dict[str, float] = {}
        self._cursor = 0

    def run(self, channel: "ClaimingChannelMixin") -> list[str]:
        """Look once. Returns: the ids of the jobs that were put back."""
        self._cancel_purged(channel)
        in_lists = list(self._missing_in_lists(channel))
        missing = {*in_lists, *self._missing_anywhere(channel), *self._nowhere(channel, list(self._missing_since))}
        now = time.monotonic()
        known = {task_id: since for task_id, since in self._missing_since.items() if task_id in missing}
        self._missing_since = dict.fromkeys(missing, now) | known
        lost = {task_id for task_id, since in self._missing_since.items() if now - since >= self._grace}
        # Each is put at the end where messages are taken, so those of a list come in the reverse of its order.
        in_order = [*(lost - set(in_lists)), *(task_id for task_id in reversed(in_lists) if task_id in lost)]
        return self._put_back(channel, in_order) if in_order else []

    def _missing_in_lists(self, channel: "ClaimingChannelMixin") -> Iterable[str]:
        """Of all queues: the worker that looks may consume others than the one that has lost something."""
        for list_name in channel.plain_client.smembers(channel.prefixed(LISTS)):
            yield from map(bytes_to_str, channel.run_script(MISSING, [bytes_to_str(list_name)], [_PER_LIST]))

    def _missing_anywhere(self, channel: "ClaimingChannelMixin") -> Iterable[str]:
        """A step of an endless walk through all unfinished jobs; more steps when there are more than messages."""
        unfinished = self._backend.keys.unfinished
        some_are_lost = self._backend.client.zcard(unfinished) > channel.run_script(LOCATED, [], [])
        for _ in range(_MOST_STEPS if some_are_lost else 1):
            self._cursor, entries = self._backend.client.zscan(unfinished, self._cursor, count=_PER_STEP)
            yield from self._nowhere(channel, [bytes_to_str(task_id) for task_id, _ in entries])
            if self._cursor == 0:
                return

    def _nowhere(self, channel: "ClaimingChannelMixin", task_ids: list[str]) -> Iterable[str]:
        for start in range(0, len(task_ids), _PER_STEP):
            some = task_ids[start : start + _PER_STEP]
            yield from map(bytes_to_str, channel.run_script(NOWHERE, [channel.lease_keys[1]], some))

    def _put_back(self, channel: "ClaimingChannelMixin", lost: Iterable[str]) -> list[str]:
        # kombu registers what a stock worker has popped by tag, so its tasks are found by looking at all.
        held = {_task_id(entry) for entry in channel.plain_client.hvals(channel.lease_keys[1])}
        put_back = []
        for task_id in lost:
            if task_id in held or self._runs_on_a_stock_worker(task_id):
                continue
            self._missing_since.pop(task_id, None)
            if self._is_over(task_id):
                self._forget(channel, task_id)
                continue
            copy = self._backend.client.get(self._backend.keys.message(task_id))
            if copy is None:
                logger.error("Job %s is lost, and what it was submitted with is not known either", task_id)
                self._forget(channel, task_id)
                continue
            if self._push(channel, task_id, copy):
                logger.error("The message of job %s was lost; the job is in its queue again", task_id)
                put_back.append(task_id)
        return put_back

    def _push(self, channel: "ClaimingChannelMixin", task_id: str, copy: bytes) -> bool:
        message, queue = expanded(copy)
        message["properties"]["delivery_tag"] = str(uuid4())
        list_name = channel.list_for(queue, message)
        arguments = [task_id, queue, dumps(message), due_at(message["headers"])]
        return bool(channel.run_script(PUT_BACK, [list_name, channel.lease_keys[1]], arguments))

    def _is_over(self, task_id: str) -> bool:
        """Also when a stock worker has ended it, which tells the record alone."""
        try:
            return bool(self._backend.records.get(task_id).state.ready)
        except (UnknownJobError, ExpiredJobError):
            return True

    def _runs_on_a_stock_worker(self, task_id: str) -> bool:
        """One that acknowledges early and tells of its starts: the record says so, and the ledger does not know."""
        client, keys = self._backend.client, self._backend.keys
        if client.hget(keys.ledger(task_id), "state") != states.PENDING.encode():
            return False
        meta = client.get(keys.meta(task_id))
        return meta is not None and self._backend.decode(meta)["status"] == states.STARTED

    def _forget(self, channel: "ClaimingChannelMixin", task_id: str) -> None:
        self._backend.count_out(task_id)
        for list_name in channel.plain_client.smembers(channel.prefixed(LISTS)):
            channel.plain_client.zrem(order_key(bytes_to_str(list_name)), task_id)

    def _cancel_purged(self, channel: "ClaimingChannelMixin") -> None:
        """``celery purge`` means that the jobs shall not run; whoever waits for one is told so."""
        client, purged = channel.plain_client, channel.prefixed(PURGED)
        for key in client.smembers(purged):
            while ids := client.zrange(key, 0, 499):
                for task_id in map(bytes_to_str, ids):
                    self._cancel(task_id)
                client.zrem(key, *ids)
            client.srem(purged, key)

    def _cancel(self, task_id: str) -> None:
        try:
            self._backend.records.cancel(task_id)
        except (FinalJobError, UnknownJobError) as error:
            logger.debug("Nothing to cancel: %s", error)


def _task_id(held: bytes | str) -> str | None:
    """Of an entry of kombu's ``unacked``; None for what is no task message."""
    try:
        return str(loads(bytes_to_str(held))[0]["headers"]["id"])
    except (ValueError, TypeError, LookupError):
        return None


def publish_again(celery_app: "Celery", *, older_than: float) -> list[str]:
    """Publish what was accepted for another kind of broker, by a process that died before it could publish it.

    Args:
        older_than: seconds since the job was accepted.

    Returns: the ids of the jobs that were published.
    """
    any_app: Any = celery_app
    backend, published = any_app.backend, []
    before = (time.time() - older_than) * 1000
    for task_id in map(bytes_to_str, backend.client.zrangebyscore(backend.keys.unpublished, "-inf", before, 0, 100)):
        copy = backend.client.get(backend.keys.message(task_id))
        if copy is not None:
            message, queue = expanded(copy)
            any_app.amqp.publish_copy(message, queue)
            published.append(task_id)
        backend.published(task_id)
    return published
