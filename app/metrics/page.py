"""The page that Prometheus reads, for keys with the scope ``metrics``."""

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from app.api_keys import Scope
from app.auth import require
from app.metrics.deployment_metrics import DeploymentMetrics
from app.metrics.http_metrics import HttpMetrics
from libs.flask_celery import UNAVAILABLE, read_figures


def make_blueprint() -> Blueprint:
    """``/metrics``."""
    blueprint = Blueprint("metrics", __name__)
    blueprint.add_url_rule("/metrics", view_func=_metrics, endpoint="metrics")
    return blueprint


def _metrics() -> Response:
    """Redis away is something to be told too, so what these processes know by themselves is answered all the same."""
    require(Scope.METRICS)
    http: HttpMetrics = current_app.extensions["http_metrics"]
    try:
        figures = read_figures(current_app.extensions["celery"])
    except UNAVAILABLE:
        figures = None
    of_deployment = CollectorRegistry()
    of_deployment.register(DeploymentMetrics(figures))
    page = generate_latest(http.registry()) + generate_latest(of_deployment)
    return Response(page, content_type=CONTENT_TYPE_PLAIN_0_0_4)
