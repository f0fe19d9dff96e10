"""RabbitMQ as the broker: how its connections are used, and Celery's settings for it.

RabbitMQ itself does what leases, the dead letters' list and the delayed set do on Redis; ``docs/rabbitmq.md`` says
what that means for jobs.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import PreconditionFailed, RecoverableConnectionError
from kombu.transport import TRANSPORT_ALIASES, _transport_cache, pyamqp

#: Seconds without a sign of life after which RabbitMQ takes a worker for dead; it may take twice that to see it.
HEARTBEAT = 30

#: The part of a retry policy that a connection understands.
_WAITS = ("max_retries", "interval_start", "interval_step", "interval_max")


def is_rabbitmq(broker_url: str) -> bool:
    """Whether the address (or the first of several) is an AMQP one."""
    return urlsplit(broker_url.partition(";")[0]).scheme in ("amqp", "amqps", "pyamqp")


class HeldTooLongError(RecoverableConnectionError):  # type: ignore[misc]
    """RabbitMQ's ``consumer_timeout`` has passed for a message that this worker holds; it will be delivered again."""


class Channel(pyamqp.Channel):  # type: ignore[misc]
    """Two things that RabbitMQ says are reasons to connect anew, and not to give up."""

    def _on_basic_return(self, reply_code: int, reply_text: str, *_: Any) -> None:
        """No queue takes the message.

        kombu declares a queue once for a connection, and so would go on publishing to one that somebody has deleted;
        and the confirmation that follows a returned message would be taken for the next one's.
        """
        raise RecoverableConnectionError(f"No queue takes the message: {reply_text}.", reply_code=reply_code)

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        """The channel is closed; a worker ends by most errors of a channel (celery/worker/consumer/consumer.py)."""
        try:
            super()._on_close(reply_code, reply_text, class_id, method_id)
        except PreconditionFailed as error:
            if "delivery acknowledgement" not in reply_text:
                raise
            raise HeldTooLongError(reply_text, reply_code=reply_code) from error


class BoundedConnection(pyamqp.Connection):  # type: ignore[misc]
    """Waits for an answer no longer than the transport option ``read_timeout``, where it is given.

    py-amqp leaves that to the kernel (``SO_RCVTIMEO``), which gevent's sockets never ask: with a broker that is
    frozen, opening a channel or declaring a queue would wait for ever.
    """

    Channel = Channel

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Raises: TimeoutError."""
        return super().blocking_read(self.read_timeout if timeout is None else timeout)


class Transport(pyamqp.Transport):  # type: ignore[misc]
    """For ``amqp://`` and ``pyamqp://``."""

    Connection = BoundedConnection


class SSLTransport(pyamqp.SSLTransport):  # type: ignore[misc]
    """For ``amqps://``."""

    Connection = BoundedConnection


def install() -> None:
    """Make kombu use these transports; as for Redis, its cache of classes is cleared."""
    for alias, transport in (("amqp", Transport), ("pyamqp", Transport), ("amqps", SSLTransport)):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{transport.__name__}"
        _transport_cache.pop(alias, None)


def is_used_by(connection: Any) -> bool:
    """Whether a kombu connection is one to RabbitMQ."""
    return bool(connection.transport.driver_type == "amqp")


def make_ready(producer: Any, retry_policy: Mapping[str, Any] | None = None) -> None:
    """Connect, or find out that an idle connection is gone and connect anew: nothing is published yet.

    Without it each connection of the pool would fail one submission after RabbitMQ was restarted.

    Args:
        retry_policy: Celery's ``task_publish_retry_policy``, to wait for a broker that is away; None fails at once.

    Raises: the transport's connection errors.
    """
    connection = producer.connection
    if connection.connected:
        try:
            connection.drain_events(timeout=0)  # what the broker has said meanwhile
        except TimeoutError:
            pass  # nothing: the connection is as it was
        except connection.connection_errors:
            drop_connection(producer, connection)
    if retry_policy is not None:
        connection.ensure_connection(**{name: retry_policy[name] for name in _WAITS if name in retry_policy})
    producer.channel  # noqa: B018 - is opened when it is asked for


def drop_connection(producer: Any, connection: Any) -> None:
    """Forget the connection without a word to the broker: an answer that came late would be taken for another's."""
    connection.collect()
    producer.revive(connection)


def publish_options(*, timeout: float | None) -> dict[str, Any]:
    """Options of a publish that counts as accepted: it reached a queue, and the broker has confirmed it.

    ``mandatory`` has the broker return a message whose queue somebody has deleted, which it would else drop.
    """
    return {"mandatory": True, "timeout": timeout, "confirm_timeout": timeout}


def api_settings(timeout: float) -> dict[str, Any]:
    """What differs from the API's settings for Redis. A confirmation or the failure is there after ``timeout``."""
    return {
        "broker_transport_options": {
            "confirm_publish": True,
            "read_timeout": timeout,
            "write_timeout": timeout,
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    }


def worker_settings() -> dict[str, Any]:
    """What differs from a worker's settings for Redis."""
    return {
        "broker_transport_options": {"confirm_publish": True},
        "broker_heartbeat": HEARTBEAT,
        # RabbitMQ delivers again at once what was not acknowledged when the connection went, so a run that goes on
        # would be one of two. Celery can stop it in prefork workers only.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        # A retry, or the next job of a chain, is published when RabbitMQ is back.
        "task_publish_retry_policy": {
            "max_retries": 120,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
        },
    }
