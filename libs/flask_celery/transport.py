"""kombu's Redis transport with one difference: a task's record is written in the step that pushes its message.

Installed in place of kombu's own by :func:`install`, for every URL that means Redis, so that any publish through
Celery is covered: ``delay()``, beat, retries, chains and chords as much as this library's ``submit``.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, _transport_cache
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps
from redis.exceptions import NoScriptError

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.delays import DELAYED, due_at
from libs.flask_celery.delivery_scripts import wake_key
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.keys import RecordKeys
from libs.flask_celery.record_fields import pending_meta
from libs.flask_celery.scripts import ACCEPT

#: The key of ``broker_transport_options`` under which :class:`RecordPlace` stands.
OPTION = "job_records"


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where records live, seen from the broker's connection: a database of the same Redis server."""

    database: int
    prefix: str = ""

    def to_option(self) -> dict[str, Any]:
        """As ``broker_transport_options`` carries it, which kombu copies and compares."""
        return asdict(self)


class RecordingChannelMixin(ClaimingChannelMixin):
    """Writes the record of a task message together with the push."""

    def _put(self, queue: str, message: Mapping[str, Any], **kwargs: Any) -> None:
        """Push ``message`` to ``queue``; one script when it is a task's and the records are on this server.

        Raises: redis-py's connection errors, having done nothing or, when only the reply was lost, everything.
        """
        place = self._record_place()
        headers = message.get("headers") or {}
        in_batch = kwargs.get("_publish_batch") is not None
        if place is None or in_batch or not (headers.get("task") and headers.get("id")):
            super()._put(queue, message, **kwargs)
            if not in_batch:
                self.plain_client.lpush(self.prefixed(wake_key(queue)), "1")
            return
        list_name = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        arguments = acceptance_arguments(headers, queue, RecordKeys(place.prefix))
        with self.conn_or_acquire() as client:
            arguments = [
                dumps(message),
                client.connection_pool.connection_kwargs.get("db", 0),
                place.database,
                *arguments,
                self.prefixed(wake_key(queue)),
                self.prefixed(DELAYED),
                due_at(headers),
            ]
            try:
                client.evalsha(self._accept_sha(client), 1, list_name, *arguments)
            except NoScriptError:  # the server was restarted or its scripts were flushed
                client.evalsha(client.script_load(ACCEPT), 1, list_name, *arguments)
            for step in self.priority_steps if self._expires and queue in self._expires else ():
                client.pexpire(self._q_for_pri(queue, step), self._expires[queue])

    def _record_place(self) -> RecordPlace | None:
        option = (self.connection.client.transport_options or {}).get(OPTION)
        return RecordPlace(**option) if option else None

    def _accept_sha(self, client: Any) -> str:
        sha: str | None = self.__dict__.get("_accept_script_sha")
        if sha is None:
            sha = self.__dict__["_accept_script_sha"] = client.script_load(ACCEPT)
        return sha


def acceptance_arguments(headers: Mapping[str, Any], queue: str, keys: RecordKeys) -> list[Any]:
    """ACCEPT's arguments from the record's key on."""
    task_id, task = headers["id"], headers["task"]
    facts = SubmissionFacts.of_header(headers.get(HEADER))
    if facts is None:  # a message that another Celery app of this process published
        facts = SubmissionFacts(submitted_at=time.time_ns() // 1_000_000)
    record = dumps(pending_meta(headers, facts, queue))
    return [
        keys.meta(task_id),
        keys.ledger(task_id),
        keys.owner(facts.owner),
        task_id,
        record,
        facts.submitted_at,
        facts.owner,
        task,
    ]


class Channel(RecordingChannelMixin):
    """For one Redis."""


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """For ``redis://``, ``rediss://`` and ``redis+socket://``."""

    Channel = Channel


class SentinelChannel(RecordingChannelMixin, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """For a Redis that Sentinel watches."""


class SentinelTransport(kombu_redis.SentinelTransport):  # type: ignore[misc]
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
