"""What the worker's own bootsteps have in common."""

import threading
from typing import Any

from celery import bootsteps


class RedisStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step that is there only where the broker is Redis; other brokers do its work themselves."""

    def include_if(self, worker: Any) -> bool:
        """Looks at the transport; connects to nothing."""
        with worker.app.connection_for_read() as connection:
            return str(connection.transport.driver_type) == "redis"


class ThreadStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step that works in a thread of its own, so that neither waits for the event loop nor holds it up."""

    def __init__(self, worker: Any, **options: Any) -> None:
        self.stopping = threading.Event()
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        """Begin. The thread ends with the process at the latest."""
        threading.Thread(target=self.run, args=(worker,), name=type(self).__name__, daemon=True).start()

    def run(self, worker: Any) -> None:
        """Work until ``self.stopping`` is set."""
        raise NotImplementedError

    def stop(self, worker: Any) -> None:
        """End the thread; Celery stops the pool first, so what still runs has been looked after until now."""
        self.stopping.set()

    terminate = stop


def consumer_channel(worker: Any) -> Any:
    """The channel that the worker's consumer takes messages from; None while it has none."""
    task_consumer = getattr(getattr(worker, "consumer", None), "task_consumer", None)
    return getattr(task_consumer, "channel", None)
