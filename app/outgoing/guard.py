"""Connections to addresses that have been checked, within a total time.

A name is looked up once, every address it has is checked, and the connection is made to one of those that were: a
name server that answers otherwise the next time is not asked again. TLS and the Host header go on naming the host.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

from app.outgoing.networks import IpNetwork, may_reach

#: The addresses of a host, as text. Raises: OSError.
Resolve = Callable[[str], Sequence[str]]


class ForbiddenAddressError(Exception):
    """The host has an address that may not be reached. Which one is not said: it is of the operator's network."""


class UnknownHostError(Exception):
    """The host has no address, or none was found in time."""


def addresses_of(host: str) -> list[str]:
    """What the system says, each address once. Raises: OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Deadline:
    """A point of time by which all must be over."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, most: float | None = None) -> float:
        """Seconds, at most ``most``. Raises: httpcore's TimeoutException when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("The time for this attempt is over.")
        return left if most is None else min(left, most)


class GuardedBackend(httpcore.NetworkBackend):
    """What httpcore connects by.

    Args:
        deadline: for all that is done over these connections; a receiver that sends a byte now and then ends there.
        allowed: networks that may be reached beside the public internet.
    """

    def __init__(
        self, deadline: Deadline, *, allowed: Collection[IpNetwork] = (), resolve: Resolve = addresses_of
    ) -> None:
        self._deadline = deadline
        self._allowed = allowed
        self._resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises: ForbiddenAddressError, UnknownHostError; httpcore's errors when none of the addresses answers."""
        addresses = self._checked(host)
        while True:
            address = addresses.pop(0)
            try:
                stream = self._plain.connect_tcp(
                    address, port, self._deadline.left(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _TimedStream(stream, self._deadline)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """There is none to connect to. Raises: ForbiddenAddressError."""
        raise ForbiddenAddressError

    def _checked(self, host: str) -> list[str]:
        name = host.strip("[]")
        try:
            found = [str(ip_address(name))]
        except ValueError:
            found = list(self._looked_up(name))
        if not found:
            raise UnknownHostError
        if not all(may_reach(ip_address(address), self._allowed) for address in found):
            raise ForbiddenAddressError
        return found

    def _looked_up(self, name: str) -> Sequence[str]:
        """In a thread, since the system's resolver cannot be told how long it may take."""
        answers: SimpleQueue[Sequence[str] | OSError] = SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._resolve(name))
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError(str(error)))

        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=self._deadline.left())
        except Empty:
            raise UnknownHostError from None
        if isinstance(answer, OSError):
            raise UnknownHostError from answer
        return answer


class _TimedStream(httpcore.NetworkStream):
    """Each step may take what is left of the whole."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
