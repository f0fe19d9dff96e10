"""One attempt to hand a webhook over: what was answered, or why it was not, and how long that took."""

import functools
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ssl import SSLContext, SSLError

import httpcore
import httpx

from app.webhooks.address import ForbiddenUrlError, check_url
from app.webhooks.guard import (
    Deadline,
    ForbiddenAddressError,
    GuardedBackend,
    Resolve,
    UnknownHostError,
    addresses_of,
)
from app.webhooks.networks import IpNetwork

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
        parts, deadline = httpx.URL(url), Deadline(self.timeout)
        backend = GuardedBackend(deadline, allowed=self.allowed, resolve=self.resolve)
        limits = {"connect": _LONGEST_CONNECT, "read": self.timeout, "write": self.timeout, "pool": self.timeout}
        target = httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
        said = {"Host": parts.netloc.decode(), "User-Agent": "Taskgate", "Content-Type": "application/json"}
        sent = [*said.items(), *headers.items()]
        with (
            httpcore.ConnectionPool(_tls() if target.scheme == b"https" else None, network_backend=backend) as pool,
            pool.stream("POST", target, headers=sent, content=body, extensions={"timeout": limits}) as response,
        ):
            _read_some(response)
            return response.status, _retry_after(response.headers)


@functools.cache
def _tls() -> SSLContext:
    """Verifies, by the certificates of certifi, or of ``SSL_CERT_FILE``. Reading them takes 20 ms."""
    return httpx.create_ssl_context()


def _read_some(response: httpcore.Response) -> None:
    """So that a receiver is not cut off in a short answer. What counts has been said before."""
    read = 0
    try:
        for chunk in response.iter_stream():
            read += len(chunk)
            if read >= MOST_READ:
                return
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return


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
