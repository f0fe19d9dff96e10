"""The worker: connections, and the requests that come over each of them."""

import gc
import socket
from contextlib import suppress
from datetime import datetime
from errno import ECONNRESET, ENOTCONN, EPIPE
from typing import Any

from gevent import GreenletExit
from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]
from gunicorn.http.wsgi import _make_early_hints_callback  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from libs.api_worker.answers import Answer
from libs.api_worker.environment import connection_environ, process_environ
from libs.api_worker.plain_requests import PlainRequest, PlainRequests, are_plain, is_plain_peer
from libs.api_worker.time_limit import OverTimeError, TimeLimit

#: More than were given back, after which the youngest are looked through for garbage: a few MiB.
_OBJECTS = 10_000

#: Bytes that are read of what a client goes on sending when it has its answer, at the most.
_LEFT_OVER = 16 * 1024 * 1024

#: What a client that goes away makes of a socket.
_GONE = (EPIPE, ECONNRESET, ENOTCONN)


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """As gunicorn's, with the same settings, limits, time-outs and answers."""

    alive: bool

    def init_process(self) -> None:
        """As gunicorn's, which serves in here until it is told to stop."""
        # Each look at a setting is three calls of functions. These do not change while a process runs.
        self._is_plain = are_plain(self.cfg)
        self._before, self._after = self.cfg.pre_request, self.cfg.post_request
        self._logs_access = self.log.access_log_enabled
        self._environ = process_environ(self.cfg)
        super().init_process()

    def load_wsgi(self) -> None:
        """As gunicorn's. What the application consists of is left out of the collections of garbage from then on.

        It stays for as long as the process. Each full collection would visit its 200,000 objects, which holds up all
        requests for a tenth of a second and more. And the others come less often: by Python's own measure, 700
        objects more than were given back, a few requests under way at once would be reason enough.
        """
        super().load_wsgi()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """One connection, until it is closed."""
        if not self._is_plain or not is_plain_peer(self.cfg, addr):
            super().handle(listener, client, addr)
            return
        client.setblocking(1)
        request = None
        seconds = self.cfg.keepalive
        limit = TimeLimit(seconds)
        try:
            place = listener.getsockname()
            requests = PlainRequests(self.cfg, client, addr, connection_environ(self._environ, client, addr, place))
            while True:
                request = None
                if seconds:  # else there is one request only, which may take its time
                    with limit:
                        request = next(requests)
                else:
                    request = next(requests)
                self.handle_request(place, request, client, addr)
                if not seconds:
                    break
        except (NoMoreData, StopIteration, OverTimeError) as error:
            self.log.debug("Closing connection. %s", error)
        except OSError as error:
            if error.errno in _GONE:
                self.log.debug("Ignoring a client that has gone. %s", error)
            else:
                self.log.exception("Socket error processing request.")
        except Exception as error:  # noqa: BLE001 - answered, and logged if it is none of the client's
            self.handle_error(request, client, addr, error)
        finally:
            limit.close()
            util.close(client)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """As gunicorn's, and close what may have been refused before it was read."""
        super().handle_error(req, client, addr, exc)
        _close_unread(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """As gunicorn's. Raises: StopIteration when the connection is to be closed; OSError."""
        with suppress(GreenletExit, SystemExit):
            self._answer(listener_name, req, sock, addr)

    def _answer(self, place: Any, req: Any, sock: Any, addr: Any) -> None:
        environ: dict[str, Any] = {}
        answer = None
        try:
            self._before(self, req)
            answer, environ = self._begun(place, req, sock, addr)
            self._count()
            if not self.alive or not self.cfg.keepalive:
                answer.force_close()
            self._send(answer, req, environ)
            if answer.should_close():
                if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
                    _close_unread(sock)
                raise StopIteration
        except (StopIteration, OSError):
            raise
        except Exception:
            if answer is None or not answer.headers_sent:
                raise
            # What was begun cannot be made an error any more: that it is not whole must be seen.
            self.log.exception("Error handling request")
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            raise StopIteration from None
        finally:
            try:
                self._after(self, req, environ, answer)
            except Exception:
                self.log.exception("Exception in post_request hook")

    def _begun(self, place: Any, req: Any, sock: Any, addr: Any) -> tuple[Answer, dict[str, Any]]:
        if isinstance(req, PlainRequest):
            answer, environ = Answer(req, sock, self.cfg), req.environ
            environ["wsgi.early_hints"] = _make_early_hints_callback(req, sock, answer)
        else:
            answer, environ = wsgi.create(req, sock, addr, place, self.cfg, response_class=Answer)
            environ["wsgi.multithread"] = True
        return answer, environ

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def _send(self, answer: Answer, req: Any, environ: dict[str, Any]) -> None:
        started = datetime.now() if self._logs_access else None  # noqa: DTZ005 - as gunicorn's log has it
        chunks = self.wsgi(environ, answer.start_response)
        try:
            answer.send_all(chunks, environ["wsgi.file_wrapper"])
        finally:
            if started is not None:
                self.log.access(answer, req, environ, datetime.now() - started)  # noqa: DTZ005
            if hasattr(chunks, "close"):
                chunks.close()


def _close_unread(client: Any) -> None:
    """Close a connection over which the client may still be sending, once it has stopped, or for two seconds.

    Closed with something unread it is reset, and the client may see that and not its answer (RFC 9112, 9.6).
    """
    util.close_graceful(client, max_drain=_LEFT_OVER)
