"""What WSGI environments have in common: those of a process, and those of a connection."""

import io
from collections.abc import Mapping
from typing import Any

from gunicorn.http.wsgi import WSGIErrorsWrapper, base_environ  # type: ignore[import-untyped]


def process_environ(cfg: Any) -> dict[str, Any]:
    """What gunicorn puts together for each request anew."""
    return {
        **base_environ(cfg),
        "wsgi.errors": _Errors(cfg),
        "wsgi.multithread": True,
        "wsgi.url_scheme": "http",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
    }


def connection_environ(of_process: Mapping[str, Any], client: Any, addr: Any, place: Any) -> dict[str, Any]:
    """``addr`` is the client's and ``place`` our own end, as sockets name them."""
    return {
        **of_process,
        "gunicorn.socket": client,
        "REMOTE_ADDR": addr[0],
        "REMOTE_PORT": str(addr[1]),
        "SERVER_NAME": place[0],
        "SERVER_PORT": str(place[1]),
    }


class _Errors(io.RawIOBase):
    """gunicorn's, made when something is written: where that goes changes when it opens its logs anew (USR1)."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def write(self, data: Any) -> None:
        """As gunicorn's."""
        WSGIErrorsWrapper(self._cfg).write(data)
