"""HTTP to hosts outside: one request within one time, to addresses that have been checked."""

from app.outgoing.exchange import exchange, read_some, tls_context
from app.outgoing.guard import (
    Deadline,
    ForbiddenAddressError,
    GuardedBackend,
    Resolve,
    UnknownHostError,
    addresses_of,
)
from app.outgoing.networks import IpNetwork, may_reach

__all__ = [
    # Asking
    "exchange", "read_some", "tls_context",
    # Whom, and for how long
    "Deadline", "ForbiddenAddressError", "GuardedBackend", "IpNetwork", "Resolve", "UnknownHostError",
    "addresses_of", "may_reach",
]  # fmt: skip
