"""What an API process counts about its own requests.

``gunicorn.conf.py`` gives its processes a directory in memory (``PROMETHEUS_MULTIPROC_DIR``) in which each keeps its
counts, so that whichever is asked answers for all of them, and for those that have ended.
"""

import time
from typing import Any

from flask import Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from app.application import ServiceFlask
from libs.flask_celery import WatchHub

#: Upper bounds in seconds: of answers from memory and from Redis, then of those that were held.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

#: In place of the route of a request that has none, whose path is the client's own.
_NOWHERE = "none"


class HttpMetrics:
    """Of one application in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "taskgate_http_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "taskgate_http_request_seconds",
            "Seconds until an answer began; held requests are held in there.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.held = Gauge(
            "taskgate_http_held_requests",
            "Requests that are held: polls with wait, and streams of events.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.held_limit = Gauge(
            "taskgate_http_held_requests_limit",
            "Requests that can be held at once.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def registry(self) -> CollectorRegistry:
        """Of all processes together, when gunicorn has several or may; else of this one."""
        together = CollectorRegistry()
        try:
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        except ValueError:  # there is no directory for that
            return self._registry
        return together


def init_app(app: ServiceFlask, hub: WatchHub, *, most: int) -> None:
    """Count the requests of ``app`` and those that ``hub`` holds, ``most`` of them at once."""
    metrics = app.extensions["http_metrics"] = HttpMetrics()
    hub.on_change = metrics.held.set
    metrics.held_limit.set(most)

    known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def begin(_: Request, facts: Any) -> None:
        facts.began = time.perf_counter()

    def count(request: Request, facts: Any, response: Response) -> None:
        rule = request.url_rule
        route = rule.rule if rule is not None else _NOWHERE
        method = request.method if rule is not None else ""
        status, began = response.status_code, facts.get("began")
        counted = known.get((route, method, status))
        if counted is None:  # the library makes texts of them each time, and looks them up under a lock
            counted = metrics.requests.labels(route, method, status), metrics.seconds.labels(route)
            known[route, method, status] = counted
        requests, seconds = counted
        requests.inc()
        if began is not None:  # it is when the request could not even be parsed
            seconds.observe(time.perf_counter() - began)

    app.at_begin(begin)
    app.at_end(count)
