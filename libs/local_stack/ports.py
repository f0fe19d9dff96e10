"""Is the port free that a server is to listen on? Asked before anything is started, for one clear line."""

from __future__ import annotations

import errno
import socket

from libs.local_stack.errors import AddressUnusableError, PortTakenError


def port_is_free(host: str, port: int) -> bool:
    """Tells whether a server could listen on every address that `host` stands for, now.

    Raises `OSError` for a host that does not resolve or is not this machine's, or a port not for this user.
    """
    addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return all(_can_bind(family, address) for family, _, _, _, address in addresses)


def require_free_port(host: str, port: int, setting: str = "PORT") -> None:
    """Raises `PortTakenError`, naming `setting`, when another program listens there, and `AddressUnusableError`."""
    try:
        free = port_is_free(host, port)
    except OSError as error:
        raise AddressUnusableError(host, port, setting, error.strerror or str(error)) from error
    if not free:
        raise PortTakenError(host, port, setting)


def _can_bind(family: socket.AddressFamily, address: tuple[str | int, ...] | tuple[int, bytes]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gunicorn does: connections of an earlier run in TIME_WAIT do not make the port a taken one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EADDRNOTAVAIL and family == socket.AF_INET6:
                return True  # "localhost" resolves to ::1 on machines that have IPv6 switched off.
            raise
    return True
