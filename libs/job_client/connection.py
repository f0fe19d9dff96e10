"""Where the server is, and the key. What is wrong with either is said without repeating the key."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx

from .environment import address_and_key

API = "/api/1.0"


@dataclass(frozen=True, slots=True)
class Connection:
    """An address of the API and a key for it."""

    url: str
    key: str = field(repr=False)
    verify: ssl.SSLContext | bool = field(default=True, repr=False)

    def http_options(self) -> dict[str, Any]:
        """For httpx's clients. Redirects are not followed: they would take the key elsewhere."""
        headers = {"Authorization": f"Bearer {self.key}", "User-Agent": "taskgate-job-client/0.1"}
        timeout = httpx.Timeout(30.0, connect=5.0)
        return {"base_url": f"{self.url}/", "headers": headers, "timeout": timeout, "verify": self.verify}


def connection(url: str | None, key: str | None, verify: ssl.SSLContext | bool) -> Connection:
    """Of what is given or, for what is not, of ``TASKGATE_URL`` and ``TASKGATE_KEY``. Raises: ValueError."""
    named_url, named_key = address_and_key()
    url, key = url or named_url, (key or named_key or "").strip()
    if not url:
        raise ValueError("The server's address is wanted: JobClient(url, key), or TASKGATE_URL.")
    if not key:
        raise ValueError("A key is wanted: JobClient(url, key), or TASKGATE_KEY.")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("The key has characters that no key has.")
    return Connection(_api_url(url), key, verify)


def _api_url(url: str) -> str:
    try:
        parts = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise ValueError("The server's address wants to be like https://jobs.example.com.") from error
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
        raise ValueError("The server's address wants to be like https://jobs.example.com.")
    if parts.userinfo:
        raise ValueError("The server's address has no place for a user or a password; the key is all that is sent.")
    plain = str(parts).rstrip("/")
    return plain if plain.endswith(API) else f"{plain}{API}"
