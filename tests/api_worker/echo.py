"""A WSGI application that tells what it was given."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import Any

#: Of the server and its sockets, the same for all requests or different for each connection.
_OWN = ("gunicorn.socket", "wsgi.errors", "wsgi.input", "wsgi.file_wrapper", "wsgi.early_hints")


def told(environ: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environ.items() if name not in (*_OWN, "REMOTE_PORT", "SERVER_PORT")}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return iter([b"one", b"", b"two"])
        case "/file":
            file = TemporaryFile()  # noqa: SIM115 - the server closes it
            file.write(b"of a file")
            file.seek(0)
            start_response("200 OK", [("Content-Length", "9")])
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            return wrapped
        case "/empty":
            start_response("204 No Content", [])
            return []
        case "/hints":
            environ["wsgi.early_hints"]([("Link", "</a>")])
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        case "/hop":
            start_response("200 OK", [("Connection", "close"), ("X-Own", " padded "), ("content-length", "2")])
            return [b"ok"]
        case "/too-much":
            start_response("200 OK", [("Content-Length", "2")])
            return [b"okay"]
        case "/bad-header":
            start_response("200 OK", [("X-Own", "a\nb")])
            return []
        case "/fails":
            raise RuntimeError("of the test")
        case "/fails-later":
            start_response("200 OK", [("Content-Length", "9")])
            return _broken()
        case "/left-alone":
            start_response("200 OK", [("Connection", "close")])
            return [f"{gc.get_freeze_count()} {gc.get_threshold()[0]}".encode()]
        case "/slow":
            start_response("200 OK", [("Content-Length", "2")])
            return _slow()
    body = environ["wsgi.input"].read()
    answer = json.dumps([told(environ), body.decode("latin-1")], sort_keys=True).encode()
    start_response("200 OK", [("Content-Length", str(len(answer))), ("Content-Type", "application/json")])
    return [answer]


def _broken() -> Iterator[bytes]:
    yield b"half"
    raise RuntimeError("of the test")


def _slow() -> Iterator[bytes]:
    yield b"o"
    time.sleep(1.5)
    yield b"k"
