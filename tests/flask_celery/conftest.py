"""The Celery app of the test's application, and tasks that only this test's applications have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import _state
from flask import Flask

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
