"""The trace that a line belongs to."""


def trace_of(traceparent: str | None) -> dict[str, str]:
    """What a line says of it, where ``traceparent`` (W3C Trace Context) is that of a request or a job."""
    if traceparent is None:
        return {}
    _, trace_id, span_id, _ = traceparent.split("-", 3)
    return {"trace_id": trace_id, "span_id": span_id}
