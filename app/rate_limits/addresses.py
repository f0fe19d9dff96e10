"""Whom an address stands for."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

#: Bits of an IPv6 address that a provider gives to one customer, who can take any of those below (RFC 6177).
_CUSTOMER_BITS = 64


@lru_cache(maxsize=10_000)
def caller_of(address: str | None) -> str:
    """An IPv4 address as it is, of an IPv6 one its network; ``unknown`` for what is none, as on a socket."""
    try:
        parsed = ip_address(_without_port(address or ""))
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _CUSTOMER_BITS << _CUSTOMER_BITS))


def _without_port(address: str) -> str:
    """Some proxies write ``192.0.2.1:4711`` or ``[2001:db8::1]:4711``."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, separator, _ = address.partition(":")
    return host if separator and "." in host else address
