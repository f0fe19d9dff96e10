"""The Flask class of the service: Flask's own, without what it finds out anew for each request."""

import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter

#: Names and numbers of hosts, with a port or without. Anything else is for werkzeug to judge.
_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,30}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class ServiceFlask(Flask):
    """Its routes are the same for all hosts, its addresses are relative, and none of its views is a coroutine."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """As Flask's. The host, which no route asks for, is looked at and not taken apart each time (IDNA)."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        host = environ.get("HTTP_HOST", "")
        if not _HOST.fullmatch(host) or "HTTP_UPGRADE" in environ or self._asks_for_hosts():
            return super().create_url_adapter(request)
        request.host = host
        return MapAdapter(
            self.url_map,
            host,
            _decoded(environ.get("SCRIPT_NAME", "")) or "/",
            "",
            environ["wsgi.url_scheme"],
            _decoded(environ.get("PATH_INFO", "")),
            environ["REQUEST_METHOD"],
            _decoded(environ.get("QUERY_STRING", "")),
        )

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is to be awaited."""
        return func

    def _asks_for_hosts(self) -> bool:
        config = self.config
        return config["TRUSTED_HOSTS"] is not None or config["SERVER_NAME"] is not None or self.url_map.host_matching


def _decoded(text: str) -> str:
    """What WSGI has as Latin-1 is UTF-8 (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")
