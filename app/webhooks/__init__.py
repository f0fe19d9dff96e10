"""Webhooks: who asked to be told of a job's end is sent it, signed, until it has been taken.

A job's end and the fact that it is owed to somebody are stored in one step by the library. :mod:`publisher`, a step
of each worker, makes deliveries of what is owed and publishes a Celery task for each; :mod:`tasks` sends it, as
:mod:`sending` allows, and keeps in the :mod:`delivery_log` what came of it.
"""

from app.webhooks.address import LONGEST_URL, ForbiddenUrlError, check_url, without_secrets
from app.webhooks.delivery_log import (
    Attempt,
    Delivery,
    DeliveryLog,
    DeliveryStatus,
    FullError,
    UnfinishedError,
    delivery_id_of,
)
from app.webhooks.services import Webhooks, init_app
from app.webhooks.signing_secrets import GRACE, SigningSecretError, SigningSecrets

__all__ = [
    # Wiring
    "Webhooks", "init_app",
    # Addresses
    "LONGEST_URL", "ForbiddenUrlError", "check_url", "without_secrets",
    # Deliveries
    "Attempt", "Delivery", "DeliveryLog", "DeliveryStatus", "FullError", "UnfinishedError", "delivery_id_of",
    # Signing
    "GRACE", "SigningSecretError", "SigningSecrets",
]  # fmt: skip
