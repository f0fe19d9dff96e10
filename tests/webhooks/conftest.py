"""What the tests of webhooks share: one installation for each module, emptied for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask, g
from redis import Redis

from app.extensions import Base, db
from app.webhooks import DeliveryLog, Webhooks, init_app
from app.webhooks.signing_secrets import SigningSecrets
from libs.flask_celery import SubmittedJob, submit
from tests.installation import Installation, an_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("webhooks"), testing=True) as installation:
        yield installation


@pytest.fixture
def app(installation: Installation) -> Iterator[Flask]:
    """With nothing in Redis, in the database or in its webhooks' memory."""
    with Redis.from_url(installation.redis.url) as client:
        client.flushall()
    app = installation.app
    secrets: SigningSecrets = app.extensions["webhooks"].secrets
    with app.app_context():
        for table in reversed(Base.metadata.sorted_tables):
            db.session.execute(table.delete())
        db.session.commit()
    before = app.extensions["webhooks"]
    init_app(app, app.config["TASKGATE"], secrets._secret_keys, before.represent)
    yield app
    app.extensions["webhooks"] = before


@pytest.fixture
def webhooks(app: Flask) -> Webhooks:
    found: Webhooks = app.extensions["webhooks"]
    return found


@pytest.fixture
def log(webhooks: Webhooks) -> DeliveryLog:
    return webhooks.log


@pytest.fixture
def submit_for(app: Flask) -> Callable[..., SubmittedJob]:
    """``submit_for("ann", "https://…")`` accepts a small job whose end is told there."""

    def accept(owner: str, webhook: str | None) -> SubmittedJob:
        with app.app_context():
            g.principal, g.webhook = owner, webhook
            return submit(app.extensions["celery"], "maintenance.adds", {"a": 1, "b": 2})

    return accept
