"""What tells browsers to do nothing with our answers that nobody has asked for (OWASP's HTTP headers cheat sheet)."""

from flask import Flask, Response, request

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
    """Add them to every answer of ``app``.

    Args:
        hsts: seconds for which browsers that came by HTTPS are to come by nothing else; 0 to say nothing of it.
    """
    transport_security = f"max-age={hsts}" if hsts else ""

    def secure(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if transport_security and request.is_secure:
            response.headers["Strict-Transport-Security"] = transport_security
        return response

    app.after_request(secure)
