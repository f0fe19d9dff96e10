"""The Celery app of the test's application, and its Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import _state
from flask import Flask, g
from redis import Redis

from libs.flask_celery import FlaskCelery


@pytest.fixture
def celery_app(app: Flask) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    return celery_app


@pytest.fixture
def own_tasks() -> Iterator[None]:
    """Tasks declared in the test are forgotten after it; ``shared_task`` keeps them for every app to come."""
    before = set(_state._on_app_finalizers)
    yield
    _state._on_app_finalizers.clear()
    _state._on_app_finalizers |= before


@pytest.fixture
def ann(app: Flask) -> Iterator[None]:
    """The code of a test is a request of hers."""
    with app.app_context():
        g.principal, g.request_id, g.locale = "ann", "request-1", "en"
        yield


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, db=2, decode_responses=True) as broker:
        yield broker


@pytest.fixture
def results(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, db=1, decode_responses=True) as results:
        yield results
