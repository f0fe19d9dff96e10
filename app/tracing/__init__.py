"""Traces by OpenTelemetry, where ``OTEL_EXPORTER_OTLP_ENDPOINT`` asks for them; else nothing of it is imported."""

from typing import TYPE_CHECKING

from flask import Flask

from app.extensions import db
from config import Config, ConfigError
from libs.flask_celery import JobTracing, flush_in_children

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def init_app(app: Flask, config: Config) -> JobTracing | None:
    """Trace the requests of ``app`` and its SQL. Returns: what is to trace its jobs.

    To be called where ``g`` has been filled from the request and nothing else has been done.
    Raises: ConfigError when what is needed for it is not installed.
    """
    if not config.otel_exporter_otlp_endpoint:
        return None
    try:
        from app.tracing.request_spans import trace_requests  # noqa: PLC0415 - see the module's docstring
        from libs.tracing import JobSpans, start_provider  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT wants what requirements-otel.txt names: "
            f"pip install -r requirements-otel.txt ({error})."
        ) from error
    with app.app_context():
        engines = list(db.engines.values())
    service = config.otel_service_name or f"taskgate-{config.role}"
    provider: TracerProvider = start_provider(config.otel_exporter_otlp_endpoint, service, engines)
    trace_requests(app, provider)
    spans = JobSpans(provider)
    flush_in_children(spans)
    return spans
