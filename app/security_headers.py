"""What tells browsers to do nothing with our answers that nobody has asked for (OWASP's HTTP headers cheat sheet)."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from flask import Flask

#: Answers are data: nothing in them is to be run, loaded, framed or told to other sites. Who may *read* them from
#: another origin is for ``cross_origin`` to say; ``same-origin`` here is about embedding them without asking.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def init_app(app: Flask, *, hsts: int) -> None:
    """Add them to every answer of ``app`` that does not have its own.

    Args:
        hsts: seconds for which browsers that came by HTTPS are to come by nothing else; 0 to say nothing of it.
    """
    app.wsgi_app = _Secured(app.wsgi_app, f"max-age={hsts}" if hsts else "")  # type: ignore[method-assign]


class _Secured:
    """WSGI middleware: there an answer's headers are a list, which takes a tenth of the time to add to."""

    def __init__(self, application: Callable[..., Iterable[bytes]], transport_security: str) -> None:
        self._application = application
        self._transport_security = transport_security

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            headers += _lacking(*[name for name, _ in headers])
            if self._transport_security and environ["wsgi.url_scheme"] == "https":
                headers.append(("Strict-Transport-Security", self._transport_security))
            return start_response(status, headers, *exc_info)

        return self._application(environ, start)


@lru_cache(maxsize=1_000)
def _lacking(*names: str) -> list[tuple[str, str]]:
    """What an answer with these headers lacks. They are our own, so that there are few such rows of names."""
    present = {name.lower() for name in names}
    return [(name, value) for name, value in HEADERS.items() if name.lower() not in present]
