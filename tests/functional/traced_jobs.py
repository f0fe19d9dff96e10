"""A job whose trace has everything in it, and the API that offers it."""

import logging
from typing import Any

from celery import Task, shared_task
from flask import Flask
from marshmallow import Schema, fields
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

import app
from app.extensions import db
from libs.flask_celery import job

logger = logging.getLogger(__name__)

MODULE = "tests.functional.traced_jobs"


class TracedParams(Schema):
    secret = fields.String(required=True)


@job("traced.work", params=TracedParams, bind=True, max_retries=1)
def work(self: Task, secret: str) -> str:
    """Ask the database, publish another job, and do so again."""
    db.session.execute(text("CREATE TEMPORARY TABLE IF NOT EXISTS traced (name VARCHAR(100) PRIMARY KEY)"))
    insert = text("INSERT INTO traced VALUES (:name)")
    try:
        with db.session.begin_nested():
            db.session.execute(insert, {"name": secret})
            db.session.execute(insert, {"name": secret})
    except IntegrityError:
        logger.info("Refused as it should be")
    child.delay(secret)
    if not self.request.retries:
        raise self.retry(countdown=0, exc=ValueError(secret))
    return "done"


@shared_task(name="traced.child")
def child(_: Any) -> int:
    return int(db.session.execute(text("SELECT 41 + 1")).scalar_one())


def create_app() -> Flask:
    return app.create_app()
