"""What is left out of spans before they are sent."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from libs.tracing.provider import DiscreetProcessor


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def test_the_text_of_an_error_is_not_sent(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(DiscreetProcessor(exporter))
    tracer = provider.get_tracer("test")
    with pytest.raises(ValueError, match="Key"), tracer.start_as_current_span("failed", attributes={"db.name": "x"}):
        raise ValueError("DETAIL: Key (email)=(ann@example.com) already exists.")
    refused = tracer.start_span("refused")
    refused.set_status(Status(StatusCode.ERROR, "Key (email)=(ann@example.com)"))
    refused.end()
    provider.shutdown()

    sent = exporter.get_finished_spans()
    assert [(span.name, span.status.status_code) for span in sent] == [
        ("failed", StatusCode.ERROR),
        ("refused", StatusCode.ERROR),
    ]
    assert sent[0].attributes == {"db.name": "x"}
    assert not [span for span in sent if "ann@example.com" in span.to_json()]
