"""Addresses of webhooks as clients name them: what is refused before anything is sent.

What a name stands for is found out when it is sent to (see :mod:`app.outgoing.guard`); here only what can be seen.
"""

import re
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address

import httpx

from app.outgoing import IpNetwork, may_reach

LONGEST_URL = 2_048
_LONGEST_HOST = 253

#: What a URL is made of (RFC 3986), without the fragment, which is not sent.
_URL = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?]*)(?P<rest>[/?][!$-;=?-Z_a-z~%\[\]@]*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")

#: Names that are not of the internet (RFC 6761, 6762, 8375; ICANN for internal). Allowed networks may have them.
_PRIVATE_NAMES = re.compile(r"[^.]+|.*\.(localhost|local|internal|home\.arpa)", re.IGNORECASE)

#: As a host's last label, a number makes the whole an address of IPv4 in some spelling (URL Standard, "ends in a
#: number"): 127.1, 0x7f000001, 017700000001.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

#: Beside the two below, only what programs of users listen to.
_LOWEST_PORT = 1_024


class ForbiddenUrlError(ValueError):
    """No webhook is sent to this address; the message is a sentence that says what to do. It does not repeat it."""


def check_url(url: str, *, allow_http: bool = False, allowed: Collection[IpNetwork] = ()) -> None:
    """Raises: ForbiddenUrlError."""
    if len(url) > LONGEST_URL:
        raise ForbiddenUrlError(f"A webhook's address has {LONGEST_URL:,} characters at the most.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ForbiddenUrlError("Give a whole address in plain ASCII without a fragment: https://host/path.")
    scheme = parts["scheme"].lower()
    if scheme != "https" and not (scheme == "http" and allow_http):
        raise ForbiddenUrlError("A webhook's address begins with https://.")
    if "@" in parts["authority"]:
        raise ForbiddenUrlError("A webhook's address has no user name and no password; verify the signature.")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise ForbiddenUrlError("The host is a name in plain ASCII or an IP address, and the port a number.")
    _check_port(authority["port"], 443 if scheme == "https" else 80)
    _check_host(authority["host"], allowed)
    try:
        httpx.URL(url)  # which sends it
    except httpx.InvalidURL as error:
        raise ForbiddenUrlError("The address is not one that can be sent to.") from error


def without_secrets(url: str) -> str:
    """The address as it may be shown and logged: a query often carries a token."""
    base, mark, _ = url.partition("?")
    return f"{base}?…" if mark else base


def _check_port(text: str | None, usual: int) -> None:
    port = usual if text is None else int(text)
    if port != usual and not _LOWEST_PORT <= port <= 65_535:
        raise ForbiddenUrlError(f"The port is {usual}, or one from {_LOWEST_PORT} to 65535.")


def _check_host(host: str, allowed: Collection[IpNetwork]) -> None:
    name = host.strip("[]")
    try:
        address = IPv6Address(name) if host.startswith("[") else ip_address(name)
    except ValueError:
        pass
    else:
        if not may_reach(address, allowed):
            raise ForbiddenUrlError("This is not an address of the public internet; a webhook is sent to no other.")
        return
    if host.startswith("[") or _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ForbiddenUrlError("Write an IP address as 198.51.100.7 or [2001:db8::7], or use a name.")
    if len(name) > _LONGEST_HOST or not _NAME.fullmatch(name):
        raise ForbiddenUrlError("The host is not a name that can be looked up; write it without a dot at its end.")
    if not allowed and _PRIVATE_NAMES.fullmatch(name):
        raise ForbiddenUrlError("This is not a name of the public internet; a webhook is sent to no other.")
