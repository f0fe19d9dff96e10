"""A span for each request, by OpenTelemetry's semantic conventions for HTTP; imported only where traces are wanted.

Without the query, in which a token may stand, and without headers. It ends when the answer begins to be sent, streams
of events too.
"""

from flask import Flask, Response, g, request
from opentelemetry import context as current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from libs.structured_logs import hide_secrets
from libs.tracing import context_of, traceparent_of

#: Asked every few seconds by what watches over the service.
_NOT_TRACED = frozenset({"/healthz", "/readyz", "/metrics"})

#: Any other is the client's own and would make names without end.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

_SERVER_ERROR = 500
_LONGEST_PATH = 2_000


def trace_requests(app: Flask, provider: TracerProvider) -> None:
    """Trace those of ``app``, each below the span that its ``traceparent`` names."""
    tracer = provider.get_tracer("taskgate.http")

    def begin() -> None:
        route = request.url_rule.rule if request.url_rule is not None else None
        if route in _NOT_TRACED:
            return
        method = request.method if request.method in _METHODS else "_OTHER"
        name = method if method != "_OTHER" else "HTTP"
        span = tracer.start_span(
            f"{name} {route}" if route else name,
            context=context_of(g.traceparent),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": hide_secrets(request.path[:_LONGEST_PATH]),
                "url.scheme": request.scheme,
                "taskgate.request_id": g.request_id,
                **({"http.route": route} if route else {}),
            },
        )
        g.request_span = span, current.attach(set_span_in_context(span))
        g.traceparent = traceparent_of(span)

    def note(response: Response) -> Response:
        found = g.get("request_span")
        if found is not None:
            span, _ = found
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= _SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", str(response.status_code))
        return response

    def end(_: BaseException | None) -> None:
        found = g.pop("request_span", None)
        if found is not None:
            span, token = found
            current.detach(token)
            span.end()

    app.before_request(begin)
    app.after_request(note)
    app.teardown_request(end)
