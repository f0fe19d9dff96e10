"""The steps of a call. A call is a generator that yields steps and is sent what came of them; it does no I/O itself.

So that both clients make the same requests, read the same answers and try again in the same way: what differs is who
performs the steps (``driver``, ``async_driver``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .transfer_body import FileBody

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without who sends it where.

    Args:
        path: below the API's address.
        idempotency_key: named in errors; it is among the headers as well.
        again_on: further statuses upon which the request is sent again when an earlier reply was lost.
        read_timeout: seconds without a byte after which the reply counts as lost.
        repeats: whether the same request may be sent again when nobody knows whether it has arrived.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | FileBody | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    again_on: frozenset[int] = frozenset()
    read_timeout: float = 30.0
    repeats: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """No reply, or not all of it. ``sent`` is False when the request has certainly not arrived."""

    error: Exception
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send it and read the whole answer → :class:`Reply` or :class:`Lost`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send it and leave a successful answer's body to be read piece by piece → :class:`Reply` or :class:`Lost`."""

    request: Request


@dataclass(frozen=True, slots=True)
class NextPiece:
    """Of the body of what was opened last → bytes, None at its end, or :class:`Lost`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call it where it may block → what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to whoever iterates."""

    value: Any


Step = Exchange | Open | NextPiece | Pause | Call | Emit

#: A call that returns ``T``.
Flow = Generator[Step, Any, T]
