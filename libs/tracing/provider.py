"""Where spans go: to a collector, over OTLP and HTTP, in batches, from a thread (or greenlet) of each process."""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status
from sqlalchemy import Engine


def start_provider(endpoint: str, service: str, engines: Sequence[Engine]) -> TracerProvider:
    """A provider whose spans are sent to ``endpoint``, of this process and of those it forks.

    What is asked of ``engines`` becomes spans too, its parameters left out. Everything else is for OpenTelemetry's
    own variables to say (``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_BSP_…``).

    Args:
        endpoint: the collector's address, without the path of traces.
        service: the name under which the spans are shown.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(DiscreetProcessor(exporter))
    # It says of itself that it is for SQLAlchemy below 2.1, and needs no more of it than events of an engine.
    SQLAlchemyInstrumentor().instrument(engines=list(engines), tracer_provider=provider, skip_dep_check=True)
    return provider


class DiscreetProcessor(BatchSpanProcessor):
    """Sends no texts of errors: a database's repeats the row that it refuses.

    The SDK starts its thread again in a child that was forked (``opentelemetry/sdk/_shared_internal``).
    """

    def on_end(self, span: ReadableSpan) -> None:
        """As the SDK's."""
        if span.status.description is not None:
            span = ReadableSpan(
                name=span.name,
                context=span.context,
                parent=span.parent,
                resource=span.resource,
                attributes=span.attributes,
                events=[event for event in span.events if event.name != "exception"],
                links=span.links,
                kind=span.kind,
                status=Status(span.status.status_code),
                start_time=span.start_time,
                end_time=span.end_time,
                instrumentation_scope=span.instrumentation_scope,
            )
        super().on_end(span)
