"""One HTTP probe: what a target answers, and how soon.

It is asked once, by GET: no redirect is followed, wherever it leads, no proxy is used, certificates are verified, and
of the answer's body no more than a part is read. All of it together, looking the name up included, has one time.
"""

import time
from dataclasses import dataclass
from ipaddress import ip_network
from ssl import SSLError

import httpcore

from app.jobs.monitoring.services.targets import Target
from app.outgoing import Deadline, GuardedBackend, UnknownHostError, exchange, read_some

#: Seconds for all of a probe.
TIMEOUT = 5.0

#: Bytes of a body that are read, so that a target is not cut off in a short answer.
MOST_READ = 65_536

_LOWEST_ERROR = 400

#: Targets are the operator's own choice: unlike a webhook's, which is a client's, they may be anywhere.
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one.

    Args:
        status: of HTTP; None when there was no answer.
        latency_ms: until the answer's head was there, from looking the name up on; None when there was no answer.
        error: a word for why there was none: unknown_host, connection, tls, timeout, no_http.
    """

    target: str
    status: int | None
    latency_ms: float | None
    error: str | None

    @property
    def is_up(self) -> bool:
        """Answered, and neither with the client's error nor with the server's. A redirect is an answer."""
        return self.status is not None and self.status < _LOWEST_ERROR


def probe(target: Target, *, timeout: float = TIMEOUT) -> Probe:
    """Ask the target; one that is down is an outcome, not an error."""
    began = time.monotonic()
    try:
        status, latency = _get(target.url, began, timeout)
    except (
        UnknownHostError,
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        return Probe(target.name, None, None, _word_for(error))
    return Probe(target.name, status, round(latency * 1000, 3), None)


def _get(url: str, began: float, timeout: float) -> tuple[int, float]:
    backend = GuardedBackend(Deadline(timeout), allowed=_EVERYWHERE)
    limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
    with exchange("GET", url, backend=backend, headers={"Accept": "*/*"}, limits=limits) as response:
        latency = time.monotonic() - began
        read_some(response, MOST_READ)
        return response.status, latency


def _word_for(error: Exception) -> str:
    match error:
        case UnknownHostError():
            return "unknown_host"
        case httpcore.TimeoutException():
            return "timeout"
        case httpcore.ConnectError() if isinstance(error.__cause__ or error.__context__, SSLError):
            return "tls"
        case httpcore.NetworkError():
            return "connection"
    return "no_http"
