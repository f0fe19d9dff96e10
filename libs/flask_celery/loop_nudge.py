"""Letting the worker's event loop go round once more, instead of waiting for what may not come.

A loop of kombu's runs what was put off, then the ticks, then waits (kombu/asynchronous/hub.py, create_loop). What a
tick starts may put something off itself: a job delivered in one is written to a pool's process, or acknowledged, only
in the next round. Usually messages are delivered after the wait, so that the next round follows at once.
"""

import socket
from contextlib import suppress
from typing import Any

from kombu.asynchronous import Hub

_AT_ONCE = 64


class LoopAwareTransportMixin:
    """Knows its loop. kombu's global one is forgotten when a loop is set up anew (``Hub.reset``)."""

    event_loop: Hub | None = None

    def register_with_event_loop(self, connection: Any, loop: Hub) -> None:
        """As kombu's, which tells its channels nothing of the loop."""
        self.event_loop = loop
        super().register_with_event_loop(connection, loop)  # type: ignore[misc]


class LoopNudge:
    """Of one channel. To be used and closed by the thread that the loop runs in."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._pair: tuple[socket.socket, socket.socket] | None = None  # most channels deliver nothing

    def __call__(self) -> None:
        """See that the loop does not wait in this round; where there is none, nothing is put off."""
        loop = getattr(self._transport, "event_loop", None)
        if loop is None:
            return
        if self._pair is None:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
        read, write = self._pair
        if read.fileno() not in loop.readers:  # a loop that is set up anew forgets them
            loop.add_reader(read.fileno(), self._nudged, read)
        with suppress(BlockingIOError):  # it has been nudged enough
            write.send(b"\0")

    def close(self) -> None:
        """Let go of what the operating system has given for it."""
        pair, self._pair = self._pair, None
        if pair is None:
            return
        loop = getattr(self._transport, "event_loop", None)
        if loop is not None:
            loop.remove_reader(pair[0].fileno())
        for end in pair:
            end.close()

    def _nudged(self, read: socket.socket) -> None:
        with suppress(BlockingIOError):
            read.recv(_AT_ONCE)
