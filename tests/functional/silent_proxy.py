"""A way to Redis that can fall silent: what is connected stays so and hears nothing more, as when a host is gone."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class SilentProxy:
    """Passes bytes on between its own port and another one of this host."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._silenced: list[socket.socket] = []
        self._is_over = Event()
        self._is_to_be_silent = Event()
        self._thread = Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def fall_silent(self) -> None:
        """For all that are connected now. Who connects later is served."""
        self._is_to_be_silent.set()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(10)
        for each in (self._listening, *self._others, *self._silenced):
            each.close()
        self._selector.close()

    def _pass_on(self) -> None:
        while not self._is_over.is_set():
            if self._is_to_be_silent.is_set():
                self._is_to_be_silent.clear()
                for one in self._others:
                    self._selector.unregister(one)
                self._silenced += self._others
                self._others.clear()
            for key, _ in self._selector.select(timeout=0.1):
                if key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._others:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        for one, other in ((near, far), (far, near)):
            self._others[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        received = b""
        with suppress(OSError):
            received = one.recv(65536)
            self._others[one].sendall(received)
        if not received:
            for each in (one, self._others[one]):
                del self._others[each]
                self._selector.unregister(each)
                each.close()


@contextmanager
def silent_proxy(port: int) -> Iterator[SilentProxy]:
    proxy = SilentProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
