"""gunicorn's gevent worker, sending the head of an answer together with what follows it."""

from collections.abc import Callable
from typing import Any

from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """gunicorn sends head and body of each answer by themselves: twice the system calls, packets and wake-ups."""

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """As gunicorn's."""
        joined = JoinedSends(sock)
        try:
            return super().handle_request(listener_name, req, joined, addr)
        finally:
            joined.flush()


class JoinedSends:
    """A connected socket for one answer, whose first piece waits for the second. All else is the socket's own.

    gunicorn sends the head when it has the first piece of the body, or knows that there is none, so nothing that a
    client could act upon is kept back.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._head: bytes | None = None
        self.sendall: Callable[[bytes], Any] = self._keep

    def flush(self) -> None:
        """Send what waits."""
        head, self._head = self._head, None
        if head is not None:
            self.sendall = self._sock.sendall
            self.sendall(head)

    def __getattr__(self, name: str) -> Any:
        self.flush()  # whatever is done with the socket comes after what was said
        return getattr(self._sock, name)

    def _keep(self, data: bytes) -> None:
        if self._head is None and data.startswith(b"HTTP/") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        head, self._head = self._head or b"", None
        self.sendall = self._sock.sendall
        self.sendall(head + data)
