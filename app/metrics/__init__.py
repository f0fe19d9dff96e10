"""``/metrics``: what Prometheus is told. ``docs/operations.md`` lists it."""

from app.metrics.http_metrics import init_app
from app.metrics.page import make_blueprint

__all__ = ["init_app", "make_blueprint"]
