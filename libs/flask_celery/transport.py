"""kombu's Redis transport with one difference: a task's record is written in the step that pushes its message.

Installed in place of kombu's own by :func:`install`, for every URL that means Redis, so that any publish through
Celery is covered: ``delay()``, beat, retries, chains and chords as much as this library's ``submit``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, _transport_cache
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps

from libs.flask_celery.accept_script import ACCEPT
from libs.flask_celery.acceptance import FIRST_HEADER, publication, terms_now
from libs.flask_celery.broadcasts import refuse_submission
from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.delays import due_at
from libs.flask_celery.loop_nudge import LoopAwareTransportMixin
from libs.flask_celery.place_scripts import PUT

#: The key of ``broker_transport_options`` under which :class:`RecordPlace` stands.
OPTION = "job_records"


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where records live, seen from the broker's connection: a database of the same Redis server."""

    database: int
    prefix: str = ""
    serializer: str = "json"  # of the records

    def to_option(self) -> dict[str, Any]:
        """As ``broker_transport_options`` carries it, which kombu copies and compares."""
        return asdict(self)


_caught: ContextVar[list[tuple[Mapping[str, Any], str]] | None] = ContextVar("caught_messages", default=None)


def caught_messages() -> list[tuple[Mapping[str, Any], str]] | None:
    """Where to put a message instead of publishing it, in a block of :func:`messages_caught`."""
    return _caught.get()


@contextmanager
def messages_caught() -> Iterator[list[tuple[Mapping[str, Any], str]]]:
    """What is published in this block is not; here it is, with its queue, as it would have been pushed.

    What would go to RabbitMQ is as its copy.
    """
    messages: list[tuple[Mapping[str, Any], str]] = []
    token = _caught.set(messages)
    try:
        yield messages
    finally:
        _caught.reset(token)


class RecordingChannelMixin(ClaimingChannelMixin):
    """Writes the record of a task message together with the push."""

    def _put(self, queue: str, message: Mapping[str, Any], **kwargs: Any) -> None:
        """Push ``message`` to ``queue`` in one script, with a task's record when records are on this server.

        Raises: redis-py's connection errors, having done nothing or, when only the reply was lost, everything; and
            what ``Publication.settle`` raises.
        """
        if kwargs.get("_publish_batch") is not None:
            super()._put(queue, message, **kwargs)
            return
        caught = caught_messages()
        if caught is not None:
            caught.append((message, queue))
            return
        headers = message.get("headers") or {}
        is_task = bool(headers.get("task") and headers.get("id"))
        place = self._record_place() if is_task else None
        list_name = self.list_for(queue, message)
        if place is None:
            task_id, eta = (headers["id"], due_at(headers)) if is_task else ("", 0)
            self.run_script(PUT, [list_name], [queue, task_id, dumps(message), eta, headers.get(FIRST_HEADER) or ""])
        else:
            terms = terms_now()
            published = publication(message, queue, push=True, eta=due_at(headers), serializer=place.serializer)
            arguments = published.arguments(terms, place.prefix, self.database, place.database)
            published.settle(self.run_script(ACCEPT, [list_name, *self.lists_of(queue)], arguments), terms)
        self.renew_expiry(queue)

    def _put_fanout(self, exchange: str, message: Mapping[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Broadcast. Raises: BroadcastQueueError."""
        refuse_submission(message.get("headers"), exchange)
        super()._put_fanout(exchange, message, routing_key, **kwargs)

    def renew_expiry(self, queue: str) -> None:
        """A queue that was declared with ``x-expires`` is kept for that long from now on."""
        for name in self.lists_of(queue) if self._expires and queue in self._expires else ():
            self.plain_client.pexpire(name, self._expires[queue])

    def _record_place(self) -> RecordPlace | None:
        option = (self.connection.client.transport_options or {}).get(OPTION)
        return RecordPlace(**option) if option else None

    def _where_records_are(self) -> tuple[Any, Any, str]:
        place = self._record_place()
        return (self.database, place.database, place.prefix) if place else ("", "", "")

    @property
    def database(self) -> int:
        """The broker's."""
        return int(self.pool.connection_kwargs.get("db", 0))


class Channel(RecordingChannelMixin):
    """For one Redis."""


class Transport(LoopAwareTransportMixin, kombu_redis.Transport):  # type: ignore[misc]
    """For ``redis://``, ``rediss://`` and ``redis+socket://``."""

    Channel = Channel


class SentinelChannel(RecordingChannelMixin, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """For a Redis that Sentinel watches."""


class SentinelTransport(LoopAwareTransportMixin, kombu_redis.SentinelTransport):  # type: ignore[misc]
    """For ``sentinel://``."""

    Channel = SentinelChannel


def install() -> None:
    """Make kombu use these transports.

    kombu caches the class per alias: whatever has looked at a Redis URL before, ``Connection(url).as_uri()`` is
    enough, would otherwise keep kombu's own for the whole process, and no publish would write a record.
    """
    for alias, transport in (("redis", Transport), ("rediss", Transport), ("sentinel", SentinelTransport)):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{transport.__name__}"
        _transport_cache.pop(alias, None)
