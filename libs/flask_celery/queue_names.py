"""Queue names of a deployment. Everybody writes the logical name (``compute``); the broker has the physical one
(``acme.compute``), so that a worker of one deployment never consumes a queue of another, on RabbitMQ as well.

Celery looks every queue up by its name in ``app.amqp.queues``: ``-Q``, ``task_routes``, ``queue=`` of a publish, the
control commands. So that is where names are translated. Without a deployment both names are one.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

from celery.app.amqp import Queues
from kombu import Queue


@dataclass(frozen=True, slots=True)
class QueueNames:
    """Of one deployment; of none when the name is empty."""

    deployment: str = ""

    @property
    def key_prefix(self) -> str:
        """Before each key that the deployment has in Redis."""
        return f"{self.deployment}:" if self.deployment else ""

    def physical(self, name: str) -> str:
        """The broker's name of a queue or an exchange; one that is physical already stays."""
        prefix = f"{self.deployment}." if self.deployment else ""
        return name if name.startswith(prefix) else f"{prefix}{name}"

    def logical(self, name: str) -> str:
        """What people call the queue."""
        return name.removeprefix(f"{self.deployment}.") if self.deployment else name

    def of_deployment(self, queue: Any) -> Any:
        """A declared queue (``kombu.Queue``) with its exchange, under their physical names."""
        if not queue.name or self.physical(queue.name) == queue.name:
            return queue  # a Broadcast has its name from its exchange, later
        own = copy(queue)
        own.name = self.physical(queue.name)
        if queue.exchange is not None and queue.exchange.name:
            own.exchange = copy(queue.exchange)
            own.exchange.name = self.physical(queue.exchange.name)
        if queue.routing_key == queue.name:
            own.routing_key = own.name
        return own


class DeploymentQueues(Queues):  # type: ignore[misc]
    """``app.amqp.queues`` of a deployment: a mapping by either name."""

    def __init__(self, names: QueueNames, *args: Any, **options: Any) -> None:
        self.names = names
        super().__init__(*args, **options)

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name if name in self.aliases else self.names.physical(name))

    def __contains__(self, name: object) -> bool:
        return bool(super().__contains__(self.names.physical(name) if isinstance(name, str) else name))

    def add(self, queue: Any, **options: Any) -> Any:
        """A ``kombu.Queue``, or a name with its options."""
        if isinstance(queue, Queue):
            return super().add(self.names.of_deployment(queue))
        return self.add_compat(queue, **options)

    def add_compat(self, name: str, **options: Any) -> Any:
        """By its name; an exchange that is named with it is the deployment's too."""
        if isinstance(options.get("exchange"), str) and options["exchange"]:
            options["exchange"] = self.names.physical(options["exchange"])
        return super().add_compat(self.names.physical(name), **options)

    def new_missing(self, name: str) -> Any:
        """A queue that nobody has declared."""
        return super().new_missing(self.names.physical(name))

    def deselect(self, exclude: Any) -> None:
        """Consume from all but these."""
        names: Iterable[str] = [exclude] if isinstance(exclude, str) else exclude or ()
        super().deselect([name if name in self.aliases else self.names.physical(name) for name in names])
