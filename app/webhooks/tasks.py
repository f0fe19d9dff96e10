"""The Celery task that delivers a webhook. Nobody's job: it has no owner, and no schema to be submitted with."""

import random
from typing import TYPE_CHECKING, Any

from celery import shared_task
from flask import current_app

from app.webhooks.attempting import attempt_delivery
from app.webhooks.delivery_log import DeliveryStatus
from libs.flask_celery import UNAVAILABLE

if TYPE_CHECKING:
    from app.webhooks.services import Webhooks

NAME = "taskgate.deliver_webhook"

#: Seconds after which a run is ended at the latest; what an attempt may take is less (``WEBHOOK_TIMEOUT``).
TIME_LIMIT = 120

#: How often it may run: its tries, and the times it found its owner's share of the workers taken.
_MOST_RUNS = 10_000

_LONGEST_PUT_OFF = 300


@shared_task(  # type: ignore[untyped-decorator]
    name=NAME, bind=True, ignore_result=True, max_retries=_MOST_RUNS, time_limit=TIME_LIMIT
)
def deliver_webhook(self: Any, delivery_id: str) -> None:
    """Send it once, and again later when it was not taken; what came of it is in the delivery log."""
    try:
        next_in = _run(current_app.extensions["webhooks"], delivery_id, self.request.retries)
    except UNAVAILABLE:
        next_in = random.uniform(5, 15)
    if next_in is not None:
        raise self.retry(countdown=next_in)


def _run(webhooks: "Webhooks", delivery_id: str, runs: int) -> float | None:
    """Returns: the seconds after which to run again, or None when it is over."""
    delivery = webhooks.log.get(delivery_id)
    if delivery is None or delivery.status is not DeliveryStatus.PENDING:
        return None  # forgotten, so that nobody waits any more; or delivered by a run that could not say so
    if not webhooks.log.enter(delivery, longest=webhooks.sender.timeout + 10):
        return random.uniform(0.5, 1) * min(1 << min(runs, 9), _LONGEST_PUT_OFF)
    return attempt_delivery(webhooks, delivery)
