"""One attempt at a delivery, from the log to the log."""

import logging
import random
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.extensions import db
from app.webhooks.delivery_log import Attempt, Delivery, DeliveryStatus
from app.webhooks.payload import payload_of
from app.webhooks.sending import Outcome
from app.webhooks.signing import signed_headers
from app.webhooks.signing_secrets import SigningSecretError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.webhooks.services import Webhooks

logger = logging.getLogger(__name__)

#: Seconds after which a receiver counts as slow.
_SLOW = 5.0

#: Answers that ask for patience, with which Retry-After is heeded.
_BUSY = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


def attempt_delivery(webhooks: "Webhooks", delivery: Delivery) -> float | None:
    """Send it and note what came of it. Returns: the seconds after which to try again, or None when it is over."""
    began = datetime.now(UTC)
    outcome = Outcome(None, "internal", 0.0)
    try:
        outcome = _send(webhooks, delivery)
    except Exception:
        # Not raised: a delivery goes on until it is over, and a database that is away is back for the next try.
        logger.exception("Webhook %s could not be sent", delivery.id)
    finally:
        webhooks.log.leave(delivery, slow=not outcome.is_taken and outcome.seconds >= _SLOW)
    status, next_in = _what_follows(outcome, delivery, webhooks.delays)
    attempt = Attempt(began, outcome.status, outcome.error, round(outcome.seconds * 1_000))
    webhooks.log.note(delivery, attempt, status, next_in)
    # Without its address: a path may be as secret as a query.
    logger.info("Webhook %s: %s, %s", delivery.id, outcome.status or outcome.error, status)
    return next_in


def _send(webhooks: "Webhooks", delivery: Delivery) -> Outcome:
    try:
        secrets = webhooks.secrets.signing(db.session(), delivery.owner)
    except SigningSecretError as error:
        logger.error("Webhook %s cannot be signed: %s", delivery.id, error)  # noqa: TRY400 - it says all there is
        return Outcome(None, "signing", 0.0)
    finally:
        db.session.rollback()  # no transaction is left open while a receiver takes its time
    body = payload_of(webhooks, delivery)
    headers = signed_headers(delivery.id, int(time.time()), body, secrets)
    return webhooks.sender.send(delivery.url, body, headers)


def _what_follows(
    outcome: Outcome, delivery: Delivery, delays: "Sequence[int]"
) -> tuple[DeliveryStatus, float | None]:
    if outcome.is_taken:
        return DeliveryStatus.DELIVERED, None
    if outcome.is_unwanted:
        return DeliveryStatus.GONE, None
    if delivery.event == "test" or delivery.tries >= len(delays):
        return DeliveryStatus.FAILED, None
    delay = delays[delivery.tries] * random.uniform(0.8, 1.2)
    asked = outcome.retry_after if outcome.status in _BUSY else 0
    return DeliveryStatus.PENDING, max(delay, asked)
