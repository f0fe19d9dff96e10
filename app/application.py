"""The Flask class of the service: Flask's own, without what it finds out anew for each request."""

import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, g
from flask import request as asked
from flask.globals import request_ctx
from flask.sessions import NullSession, SessionInterface
from flask.signals import (
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.routing import MapAdapter

from app.known_routes import RememberingAdapter

#: Names and numbers of hosts, with a port or without. Anything else is for werkzeug to judge.
_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,30}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

#: Of a request, before its view is called; and of its answer before that is sent. The second argument is Flask's
#: ``g`` itself, which like the request costs more to look up than most of these do with it.
Beginning = Callable[[Request, Any], None]
Ending = Callable[[Request, Any, Response], None]


class ServiceFlask(Flask):
    """Its routes are the same for all hosts, its addresses are relative, and none of its views is a coroutine.

    It has no sessions: callers are known by a key or a token, never by a cookie.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session_interface = _NoSessions()
        self._beginnings: list[Beginning] = []
        self._endings: list[Ending] = []
        self._routes: dict[tuple[str, ...], Any] = {}

    def at_begin(self, beginning: Beginning) -> None:
        """As ``before_request``, in the order of these calls, for what answers nothing itself."""
        self._beginnings.append(beginning)

    def at_end(self, ending: Ending) -> None:
        """As ``after_request``, the last one first, for what changes the response that there is."""
        self._endings.insert(0, ending)

    def full_dispatch_request(self) -> Response:
        """As Flask's, which tells of it even where nobody listens."""
        if request_started.receivers or request_finished.receivers:
            return super().full_dispatch_request()
        self._got_first_request = True
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
        except Exception as error:  # noqa: BLE001 - Flask's handler of every exception
            answer = self.handle_user_exception(error)
        return self.process_response(answer if isinstance(answer, Response) else self.make_response(answer))

    def preprocess_request(self) -> Any:
        """As Flask's, which goes through the blueprints' names to find nothing."""
        request, facts = asked._get_current_object(), g._get_current_object()  # type: ignore[attr-defined]
        for beginning in self._beginnings:
            beginning(request, facts)
        if self.before_request_funcs or self.url_value_preprocessors:
            return super().preprocess_request()
        return None

    def process_response(self, response: Response) -> Response:
        """As Flask's."""
        context = request_ctx._get_current_object()  # type: ignore[attr-defined]
        if self.after_request_funcs or context._after_request_functions:
            response = super().process_response(response)
        request, facts = context.request, g._get_current_object()
        for ending in self._endings:
            ending(request, facts, response)
        return response

    def do_teardown_request(self, *exc: Any) -> None:
        """As Flask's."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(*exc)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """As Flask's. The host, which no route asks for, is looked at and not taken apart each time (IDNA)."""
        if request is None:
            return None if self.config["SERVER_NAME"] is None else super().create_url_adapter(request)
        environ = request.environ
        host = environ.get("HTTP_HOST", "")
        if not _HOST.fullmatch(host) or "HTTP_UPGRADE" in environ or self._asks_for_hosts():
            return super().create_url_adapter(request)
        request.host = host
        adapter = RememberingAdapter(
            self.url_map,
            host,
            _decoded(environ.get("SCRIPT_NAME", "")) or "/",
            "",
            environ["wsgi.url_scheme"],
            _decoded(environ.get("PATH_INFO", "")),
            environ["REQUEST_METHOD"],
            _decoded(environ.get("QUERY_STRING", "")),
        )
        adapter.known = self._routes
        return adapter

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is to be awaited."""
        return func

    def _asks_for_hosts(self) -> bool:
        config = self.config
        return config["TRUSTED_HOSTS"] is not None or config["SERVER_NAME"] is not None or self.url_map.host_matching


class _NoSessions(SessionInterface):
    """None is read and none is saved; who uses one all the same is told so by Flask."""

    def __init__(self) -> None:
        self._none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """The same for all."""
        return self._none

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Nothing can be in there."""


def _decoded(text: str) -> str:
    """What WSGI has as Latin-1 is UTF-8 (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")
