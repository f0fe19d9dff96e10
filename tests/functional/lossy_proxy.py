"""A TCP proxy in front of the API that loses every second reply, once the API has answered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import cast


class LossyProxy(ThreadingTCPServer):
    """One request a connection: it ends when the server has closed it, as ``Connection: close`` asks for."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.api_port = api_port
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.replies = self.lost = 0
        self._lock = threading.Lock()

    def loses_this_one(self) -> bool:
        with self._lock:
            self.replies += 1
            is_lost = self.replies % 2 == 0
            self.lost += is_lost
            return is_lost


class _Exchange(BaseRequestHandler):
    def handle(self) -> None:
        proxy, client = cast(LossyProxy, self.server), cast(socket.socket, self.request)
        reply = b""
        with socket.create_connection(("127.0.0.1", proxy.api_port)) as api, DefaultSelector() as ready:
            ready.register(client, EVENT_READ)
            ready.register(api, EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is api:
                        data = api.recv(65536)
                        reply += data
                        if not data:
                            if not proxy.loses_this_one():
                                client.sendall(reply)
                            return
                    elif request := client.recv(65536):
                        api.sendall(request)
                    else:
                        ready.unregister(client)


@contextmanager
def lossy_proxy(api_port: int) -> Iterator[LossyProxy]:
    with LossyProxy(api_port) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        serving.start()
        yield proxy
        proxy.shutdown()
        serving.join()
