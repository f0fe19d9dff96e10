"""The access log: a line for each request once its answer has gone out, a streamed one too.

Queries are left out, as a token may stand there, and headers too. Where the lines go, and in what form, is for the
process to say (``log_output``); without that none is written.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Request, Response

from app.application import ServiceFlask
from libs.structured_logs import hide_secrets, log_event, trace_of

LOGGER = logging.getLogger("taskgate.access")

_FACTS = "taskgate.facts"
_LONGEST_PATH = 2_000


class AccessLog:
    """WSGI middleware around the application, inside of what corrects the client's address."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not LOGGER.isEnabledFor(logging.INFO):
            return self._application(environ, start_response)
        entry = _Entry(environ)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            entry.status = int(status[:3])
            entry.headers = headers
            return start_response(status, headers, *exc_info)

        answer: Any = self._application(environ, start)
        if isinstance(answer, environ.get("wsgi.file_wrapper", ())):
            _watch_file(answer, entry)
            file: Iterable[bytes] = answer  # as it is: the server knows it by its class and sends it by itself
            return file
        return _Watched(answer, entry)


class _Entry:
    """One request's line, in the making."""

    __slots__ = ("_environ", "_facts", "_started", "_written", "headers", "sent", "status")

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ
        self._started = time.perf_counter()
        self._facts: dict[str, Any] = environ.setdefault(_FACTS, {})
        self._written = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.sent = 0

    def write(self) -> None:
        """Once."""
        if self._written:
            return
        self._written = True
        path = self._environ.get("PATH_INFO", "")
        if not path.isascii():
            path = path.encode("latin-1").decode(errors="replace")
        log_event(
            LOGGER,
            "request",
            {
                "method": self._environ["REQUEST_METHOD"],
                "path": hide_secrets(path[:_LONGEST_PATH]),
                "status": self.status,
                "duration_ms": round((time.perf_counter() - self._started) * 1000, 2),
                "bytes": self.sent,
                "address": self._environ.get("REMOTE_ADDR"),
                **self._facts,
            },
        )


class _Watched:
    """An answer's body, counted as it goes out."""

    def __init__(self, answer: Iterable[bytes], entry: _Entry) -> None:
        self._answer = answer
        self._chunks = iter(answer)
        self._entry = entry

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._entry.sent += len(chunk)
        return chunk

    def close(self) -> None:
        """The server calls it when all has been sent, or the client is gone (PEP 3333)."""
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            self._entry.write()


def _watch_file(answer: Any, entry: _Entry) -> None:
    close_file = getattr(answer, "close", None)

    def close() -> None:
        if close_file is not None:
            close_file()
        entry.sent = next((int(value) for name, value in entry.headers if name.lower() == "content-length"), 0)
        entry.write()

    answer.close = close


def init_app(app: ServiceFlask) -> None:
    """Have each request of ``app`` logged, with what is known of it when it has been answered."""
    app.at_end(_note)
    app.wsgi_app = AccessLog(app.wsgi_app)  # type: ignore[method-assign]


def _note(request: Request, facts: Any, _: Response) -> None:
    noted = request.environ.get(_FACTS)
    if noted is not None:
        known, rule, path = facts.get, request.url_rule, request.view_args or {}
        noted.update(
            route=rule.rule if rule is not None else None,
            request_id=known("request_id"),
            principal=known("principal"),
            key_id=known("key_id"),
            task_id=hide_secrets(str(path["task_id"])) if "task_id" in path else known("task_id"),
            **trace_of(known("traceparent")),
        )
