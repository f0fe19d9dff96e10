"""Messages to a queue with a fanout exchange: each worker that listens runs them, and nobody keeps them.

On Redis such a message goes over Pub/Sub. It waits nowhere and is leased to nobody, so it is nothing that a client
can be told was accepted: code of the application may broadcast, a submission may not. The record tells of the worker
that was first; the others run all the same.
"""

from typing import Any

from libs.flask_celery.acceptance import is_submission
from libs.flask_celery.errors import BroadcastQueueError


def refuse_submission(headers: Any, exchange: str) -> None:
    """See that what is about to be broadcast is no client's job. Raises: BroadcastQueueError."""
    if headers and headers.get("task") and is_submission():
        raise BroadcastQueueError(headers["task"], exchange)


def is_broadcast(app: Any, request: Any) -> bool:
    """Whether a run's message was delivered to every worker of its queue."""
    exchange = (getattr(request, "delivery_info", None) or {}).get("exchange")
    return bool(exchange) and any(
        queue.exchange is not None and queue.exchange.name == exchange and queue.exchange.type == "fanout"
        for queue in app.amqp.queues.values()
    )
