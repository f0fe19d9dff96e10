"""The settings of webhooks that are more than a word or a number."""

from collections.abc import Collection
from ipaddress import ip_network

from app.outgoing import IpNetwork
from config import ConfigError

_MOST_WAITS = 15
_LONGEST_WAIT = 172_800


def read_networks(names: Collection[str]) -> tuple[IpNetwork, ...]:
    """``WEBHOOK_ALLOW_PRIVATE``. Raises: ConfigError."""
    try:
        return tuple(ip_network(name.strip()) for name in names)
    except ValueError as error:
        raise ConfigError("WEBHOOK_ALLOW_PRIVATE wants networks such as 10.0.0.0/8,fd00::/8.") from error


def read_waits(text: str) -> tuple[int, ...]:
    """``WEBHOOK_RETRIES``: seconds before each further try; none for one try alone. Raises: ConfigError."""
    try:
        waits = tuple(int(wait) for wait in text.split(",")) if text.strip() else ()
    except ValueError:
        waits = (0,)
    if len(waits) > _MOST_WAITS or not all(1 <= wait <= _LONGEST_WAIT for wait in waits):
        raise ConfigError(
            f"WEBHOOK_RETRIES wants up to {_MOST_WAITS} waits of 1 to {_LONGEST_WAIT} seconds, such as 5,300,1800."
        )
    return waits
