"""The database: there, and with the tables that this version wants."""

from flask import Flask
from sqlalchemy import false, select
from sqlalchemy.exc import SQLAlchemyError

from app.doctor.finding import Findings, ok, problem, warning
from app.extensions import db
from app.migrated import is_behind
from app.models import ApiKey, KeyWebhook
from config import Config


def check_database(app: Flask) -> Findings:
    """Away, behind, or as it should be; and keys, without which nobody can call."""
    try:
        connection = db.session.connection()
    except SQLAlchemyError as error:
        yield problem(
            "database",
            f"The database does not answer ({type(error).__name__}).",
            "Start it, or correct DATABASE_URL.",
        )
        return
    try:
        db.session.execute(select(ApiKey, KeyWebhook).join(KeyWebhook).where(false()))
        behind = is_behind(connection, f"{app.root_path}/migrations")
    except SQLAlchemyError:
        db.session.rollback()
        behind = True
    if behind:
        yield problem("database", "The database lacks tables that this version wants.", "Run manage.py db upgrade.")
        return
    yield ok("database", f"The database ({connection.dialect.name}) answers and has all tables.")
    if db.session.scalar(select(ApiKey.id).limit(1)) is None:
        yield warning("database", "There is no API key: nobody can call.", "Run manage.py keys create NAME --scope …")
    config: Config = app.config["TASKGATE"]
    if connection.dialect.name == "sqlite" and not config.redis_is_embedded:
        yield warning(
            "database",
            "The database is a file of this host, and Redis is another server: workers elsewhere would not see it.",
            "Set DATABASE_URL to a PostgreSQL when there is more than this host.",
        )
