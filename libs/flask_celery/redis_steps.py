"""What the worker's own bootsteps have in common."""

from typing import Any

from celery import bootsteps


class RedisStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step that is there only where the broker is Redis; other brokers do its work themselves."""

    def include_if(self, worker: Any) -> bool:
        """Looks at the transport; connects to nothing."""
        with worker.app.connection_for_read() as connection:
            return str(connection.transport.driver_type) == "redis"


def consumer_channel(worker: Any) -> Any:
    """The channel that the worker's consumer takes messages from; None while it has none."""
    task_consumer = getattr(getattr(worker, "consumer", None), "task_consumer", None)
    return getattr(task_consumer, "channel", None)
