"""Real HTTP targets, each with a way of its own, and what they have seen."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Seconds that ``/slow`` takes.
SLOW = 0.25


class Targets:
    """``/quick``, ``/slow``, ``/broken`` (500), ``/absent`` (404), ``/moved`` (to ``/secret``), ``/endless``,
    ``/drip``, and one that refuses connections. Each path may go on (``/slow/7``)."""

    def __init__(self, port: int, refusing_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.refusing = f"http://127.0.0.1:{refusing_port}/"
        self.seen: list[str] = []
        self.most_at_once = 0
        self.sent = 0
        self.closing = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.seen.append(handler.path)
        self._answer(handler)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        way = handler.path.partition("?")[0].split("/")[1]
        if way == "slow":
            with self._lock:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            time.sleep(SLOW)
            with self._lock:  # before it is answered: who has the answer may ask for the next one at once
                self._at_once -= 1
        elif way == "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.closing.wait(0.05):
                handler.wfile.write(b".")
        handler.send_response({"broken": 500, "absent": 404, "moved": 302}.get(way, 200))
        if way == "moved":
            handler.send_header("Location", f"{self.url}/secret")
        if way != "endless":
            handler.send_header("Content-Length", "0")
        handler.end_headers()
        while way == "endless" and not self.closing.is_set():
            self.sent += handler.wfile.write(b"x" * 65_536)


@contextmanager
def http_targets() -> Iterator[Targets]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            with suppress(OSError):  # the probe hangs up, as it should
                targets.answer(self)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 100

    # Bound, so that nobody else is given the port, and not listening, so that connections are refused.
    with Server(("127.0.0.1", 0), Handler) as server, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        targets = Targets(server.server_address[1], refusing.getsockname()[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield targets
        finally:
            targets.closing.set()
            server.shutdown()
            thread.join()
