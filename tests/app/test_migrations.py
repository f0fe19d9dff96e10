"""The migrations make the tables that the models describe, and take them away again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Engine, inspect, text

from app.extensions import Base, db
from config import Config
from tests.conftest import built_app

MONITORING = {"probe_samples", "host_samples", "metric_summaries"}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_app(request: pytest.FixtureRequest, config: Config) -> Iterator[Flask]:
    """An application on a database without tables."""
    if request.param == "sqlite":
        with built_app(config) as app:
            yield _emptied(app)
        return
    server: Engine = request.getfixturevalue("postgresql")
    name = f"migrations_{uuid4().hex}"
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = server.url.set(database=name).render_as_string(hide_password=False)
        with built_app(replace(config, database_url=url)) as app:
            yield _emptied(app)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _emptied(app: Flask) -> Flask:
    with app.app_context():
        db.drop_all()
    return app


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_models_and_migrations_agree(empty_app: Flask) -> None:
    with empty_app.app_context():
        upgrade()

        with db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert tables() == set(Base.metadata.tables)


def test_each_migration_can_be_taken_back(empty_app: Flask) -> None:
    with empty_app.app_context():
        upgrade()

        later = {"alert_digests", "alert_findings"}
        downgrade(revision="0006")
        assert tables() == set(Base.metadata.tables) - later
        later |= MONITORING
        downgrade(revision="0005")
        assert tables() == set(Base.metadata.tables) - later
        downgrade(revision="0004")
        assert "used_at" not in {column["name"] for column in inspect(db.engine).get_columns("uploaded_files")}
        assert tables() == set(Base.metadata.tables) - later
        downgrade(revision="0003")
        later |= {"webhook_secrets", "key_webhooks"}
        assert tables() == set(Base.metadata.tables) - later
        downgrade(revision="0002")
        assert "last_used_at" not in {column["name"] for column in inspect(db.engine).get_columns("api_keys")}
        downgrade(revision="0001")
        assert tables() == set(Base.metadata.tables) - later - {"job_completions"}
        downgrade(revision="base")
        assert tables() == set()


@pytest.mark.parametrize(("revision", "status"), [("", 200), ("0006", 503), ("0005", 503), ("9999", 200)], ids=str)
def test_who_has_not_migrated_is_not_ready(empty_app: Flask, revision: str, status: int) -> None:
    """A revision from the future is one that the next version has brought while this one still runs."""
    with empty_app.app_context():
        upgrade()
        if revision:
            db.session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
            db.session.commit()

    answer = empty_app.test_client().get("/readyz")

    assert (answer.status_code, answer.json["checks"]["database"]) == (status, status == 200)
