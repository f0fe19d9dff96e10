"""Publishing what clients submit without going through Celery's and kombu's publishing each time.

What is pushed and recorded is the same to the byte, in the same step on the server (``ready_messages``,
``accept_script``). Whatever is out of the ordinary takes the usual way, and on another broker than Redis all does.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import Task, _state
from kombu.transport.redis import SentinelChannel
from kombu.utils.uuid import uuid

from libs.flask_celery.accept_script import ACCEPT
from libs.flask_celery.acceptance import SubmissionTerms
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.direct_calls import DirectCalls
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.publishing import has_listeners, is_regular, publish_job
from libs.flask_celery.ready_messages import ReadyMessage
from libs.flask_celery.transport import OPTION, RecordingChannelMixin, RecordPlace, messages_caught

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Options that the messages of one :class:`ReadyMessage` have in common.
_SAME = frozenset({"queue", "priority"})

#: Choices of queue and priority are few, and yet they are the clients'.
_MOST_KEPT = 1_000

#: The tasks that are run by any thread of this process (celery/utils/threads.py, ``Local``); None when not known.
_TASKS = getattr(getattr(_state._task_stack, "_local", None), "__storage__", None)


class _Way:
    """A ready message and where it goes."""

    def __init__(self, ready: ReadyMessage, keys: list[str]) -> None:
        self.ready = ready
        self.keys = keys


class DirectPublishing:
    """Of one Celery app."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._app = celery_app
        option = (celery_app.conf.broker_transport_options or {}).get(OPTION)
        self._records = RecordPlace(**option) if option else None
        self._ways: dict[tuple[Any, ...], _Way | None] = {}
        self._calls: DirectCalls | None = None
        self._broker_db = 0
        self._prefix = ""

    def publish(
        self,
        task: Task,
        params: Mapping[str, Any],
        task_id: str,
        facts: SubmissionFacts,
        terms: SubmissionTerms,
        options: Mapping[str, Any],
    ) -> bool:
        """Publish a job under ``terms``. Returns: False, having done nothing, where it takes the usual way.

        Raises: TypeError for params that the function does not take; as ``Publication.settle``; redis-py's
            connection errors and kombu's OperationalError.
        """
        records = self._records
        if records is None or not options.keys() <= _SAME or has_listeners() or _is_in_a_task():
            return False
        known_as = (task.name, *options.items())
        way = self._ways.get(known_as)
        if way is None:
            if known_as in self._ways:
                return False
            way = self._prepare(known_as, task, params, facts, options)
            if way is None:
                return False
        elif task.typing:
            task.__header__(**params)  # as Celery does
        published = way.ready.publication(task_id, params, facts)
        arguments = published.arguments(terms, records.prefix, self._broker_db, records.database)
        with self._app.publish_gate.place():
            assert self._calls is not None
            answer = self._calls.run_script(ACCEPT, way.keys, [*arguments, self._prefix])
        published.settle(answer, terms)
        return True

    def _prepare(
        self,
        known_as: tuple[Any, ...],
        task: Task,
        params: Mapping[str, Any],
        facts: SubmissionFacts,
        options: Mapping[str, Any],
    ) -> _Way | None:
        if len(self._ways) >= _MOST_KEPT:
            self._ways.clear()
        if not is_regular(self._app, task):
            self._ways[known_as] = None
            return None
        with messages_caught() as caught:
            publish_job(task, params, uuid(), facts, **options)
        with broker_channel(self._app) as channel:
            [(message, queue)] = caught
            if (
                not isinstance(channel, RecordingChannelMixin)
                or isinstance(channel, SentinelChannel)  # which server is the master may change
                or queue in (channel._expires or {})
            ):
                self._ways[known_as] = None
                return None
            if self._calls is None:
                self._broker_db, self._prefix = channel.database, channel.global_keyprefix
                self._calls = DirectCalls(channel.pool)
            ready = ReadyMessage(message, queue, params)
            way = self._ways[known_as] = _Way(ready, [channel.list_for(queue, message), *channel.lists_of(queue)])
        return way


def _is_in_a_task() -> bool:
    """Whether a job publishes here, whose messages name it. Celery finds that out by an exception."""
    return (_TASKS is None or bool(_TASKS)) and _state.get_current_task() is not None
