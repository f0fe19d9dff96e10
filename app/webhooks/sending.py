"""One attempt to hand a webhook over: what was answered, or why it was not, and how long that took."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ssl import SSLError

import httpcore

from app.outgoing import (
    Deadline,
    ForbiddenAddressError,
    GuardedBackend,
    IpNetwork,
    Resolve,
    UnknownHostError,
    addresses_of,
    exchange,
    read_some,
)
from app.webhooks.address import ForbiddenUrlError, check_url

#: Of a response's body; what is over is not read. It is not kept either: it could be of something that is nobody's.
MOST_READ = 4_096

#: Seconds of the whole for the connection.
_LONGEST_CONNECT = 5.0

_LONGEST_RETRY_AFTER = 86_400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt."""

    status: int | None  # of HTTP; None when there was no answer
    error: str | None  # a word for why not, as ``timeout``; None when it was answered
    seconds: float
    retry_after: int = 0  # seconds, as the receiver asked

    @property
    def is_taken(self) -> bool:
        """Only 2xx is: the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_unwanted(self) -> bool:
        """The receiver wants no more (410)."""
        return self.status == HTTPStatus.GONE


@dataclass(frozen=True, slots=True)
class Sender:
    """How webhooks may be sent; ``timeout`` in seconds, for all of one attempt."""

    timeout: float
    allow_http: bool
    allowed: Collection[IpNetwork]
    resolve: Resolve = addresses_of

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """POST it: no redirects, no proxies, TLS verified, connections to checked addresses only."""
        began = time.monotonic()
        try:
            check_url(url, allow_http=self.allow_http, allowed=self.allowed)
            status, retry_after = self._post(url, body, headers)
        except Exception as error:
            word = _word_for(error)
            if word is None:
                raise
            return Outcome(None, word, time.monotonic() - began)
        return Outcome(status, None, time.monotonic() - began, retry_after)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, int]:
        backend = GuardedBackend(Deadline(self.timeout), allowed=self.allowed, resolve=self.resolve)
        limits = {"connect": _LONGEST_CONNECT, "read": self.timeout, "write": self.timeout, "pool": self.timeout}
        said = {"Content-Type": "application/json", **headers}
        with exchange("POST", url, backend=backend, headers=said, limits=limits, content=body) as response:
            read_some(response, MOST_READ)
            return response.status, _retry_after(response.headers)


def _retry_after(headers: list[tuple[bytes, bytes]]) -> int:
    """In seconds; dates are rare there and passed over."""
    text = {name.lower(): value for name, value in headers}.get(b"retry-after", b"").strip()
    return min(int(text), _LONGEST_RETRY_AFTER) if text.isdigit() and len(text) < 10 else 0


def _word_for(error: BaseException) -> str | None:
    """None for what is nobody's fault but ours."""
    match error:
        case ForbiddenUrlError():
            return "forbidden_url"
        case ForbiddenAddressError():
            return "forbidden_address"
        case UnknownHostError():
            return "unknown_host"
        case httpcore.TimeoutException():
            return "timeout"
        case httpcore.ConnectError():
            return "tls" if isinstance(error.__cause__ or error.__context__, SSLError) else "connection"
        case httpcore.NetworkError():
            return "connection"
        case httpcore.ProtocolError() | httpcore.UnsupportedProtocol():
            return "no_http"
    return None
