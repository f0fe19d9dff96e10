"""The Celery app of the test's application, tasks that only it has, and an installation of unique jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import _state
from flask import Flask
from redis import Redis

from libs.flask_celery import FlaskCelery
from tests.functional.job_runs import JobRuns, job_runs


@pytest.fixture
def celery_app(app: Flask) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    return celery_app


@pytest.fixture
def own_tasks(app: Flask) -> Iterator[None]:
    """Tasks declared in the test are forgotten after it; ``shared_task`` keeps them for every app to come.

    Not those of the application, which the first one of a process imports.
    """
    before = set(_state._on_app_finalizers)
    yield
    _state._on_app_finalizers.clear()
    _state._on_app_finalizers |= before


@pytest.fixture(scope="module")
def unique_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """Without a worker: each test ends jobs as it wants."""
    with job_runs(tmp_path_factory.mktemp("unique"), OWNER_LIMIT="20") as runs:
        yield runs


@pytest.fixture
def runs(unique_runs: JobRuns) -> JobRuns:
    """On an empty Redis."""
    with Redis.from_url(unique_runs.installation.redis.url) as client:
        client.flushall()
    return unique_runs
