"""Traces by OpenTelemetry: what of this product's becomes a span, and where spans are sent.

Importing this imports OpenTelemetry (``requirements-otel.txt``), so it is to be imported where traces are wanted.
"""

from libs.tracing.job_spans import JobSpans
from libs.tracing.provider import start_provider
from libs.tracing.traceparents import context_of, traceparent_of

__all__ = ["JobSpans", "context_of", "start_provider", "traceparent_of"]
