"""Signatures as Standard Webhooks has them (v1, HMAC-SHA256)."""

import base64
import hmac
import secrets
from collections.abc import Iterable

_PREFIX = "whsec_"

#: The specification wants 24 to 64.
_SECRET_BYTES = 32


def new_secret() -> str:
    """A random signing secret, as it is shown to receivers."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(delivery_id: str, timestamp: int, body: bytes, signing_secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of a delivery; one signature for each secret.

    Args:
        delivery_id: the same for each attempt, by which receivers know a delivery again; without a dot.
        timestamp: of this attempt, in Unix seconds.
    """
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in signing_secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
