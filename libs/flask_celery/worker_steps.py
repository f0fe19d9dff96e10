"""What the worker's own bootsteps have in common.

Celery starts and stops steps that do not depend on each other in an order that is another in each process.
"""

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
    """A step that works in a thread of its own, so that neither waits for the event loop nor holds it up.

    Begins after the pool, so that its first processes are not forked while a thread is in the middle of something.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self.stopping: threading.Event = worker.blueprint.shutdown_complete
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        """Begin. The thread ends with the process at the latest."""
        threading.Thread(target=self.run, args=(worker,), name=type(self).__name__, daemon=True).start()

    def run(self, worker: Any) -> None:
        """Work until ``self.stopping`` is set, which is when the worker has stopped."""
        raise NotImplementedError

    def stop(self, worker: Any) -> None:
        """Goes on: the pool is stopped after this, and what still runs has to be looked after until it has."""

    terminate = stop


def consumer_channel(worker: Any) -> Any:
    """The channel that the worker's consumer takes messages from; None while it has none."""
    task_consumer = getattr(getattr(worker, "consumer", None), "task_consumer", None)
    return getattr(task_consumer, "channel", None)
