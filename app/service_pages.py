"""Beside the API: its document, and what orchestrators ask."""

from typing import Any

from flask import Blueprint, Response, current_app, json
from sqlalchemy import false, select

from app.api_1_0.links import PREFIX
from app.extensions import db
from app.migrated import is_behind
from app.models import ApiKey, KeyWebhook
from app.openapi import build_document
from libs.flask_celery import UNAVAILABLE

DOCUMENT_URL = f"{PREFIX}/openapi.json"


def make_blueprint() -> Blueprint:
    """``openapi.json``, ``healthz`` and ``readyz``."""
    blueprint = Blueprint("service_pages", __name__)
    blueprint.add_url_rule(DOCUMENT_URL, view_func=_document, endpoint="openapi")
    blueprint.add_url_rule("/healthz", view_func=_alive, endpoint="healthz")
    blueprint.add_url_rule("/readyz", view_func=_ready, endpoint="readyz")
    return blueprint


def _document() -> Response:
    """Built once for a process: routes and jobs do not change while it runs."""
    extensions = current_app.extensions
    if "openapi_document" not in extensions:
        extensions["openapi_document"] = json.dumps(build_document(extensions["celery"]))
    return Response(extensions["openapi_document"], content_type="application/json")


def _alive() -> Response:
    """The process answers. Says nothing of Redis: restarting this process would not bring Redis back."""
    return Response(json.dumps({"status": "ok"}), content_type="application/json")


def _ready() -> Response:
    """Jobs can be submitted and results read: Redis and the database answer."""
    checks = {"redis": _redis_answers(), "database": _database_answers()}
    ready = all(checks.values())
    return Response(
        json.dumps({"status": "ok" if ready else "unavailable", "checks": checks}),
        status=200 if ready else 503,
        content_type="application/json",
    )


def _redis_answers() -> bool:
    backend: Any = current_app.extensions["celery"].backend
    try:
        return bool(backend.client.ping())
    except UNAVAILABLE:
        return False


def _database_answers() -> bool:
    try:
        # Every column, as each request wants.
        db.session.execute(select(ApiKey, KeyWebhook).join(KeyWebhook).where(false()))
        if is_behind(db.session.connection(), f"{current_app.root_path}/migrations"):
            current_app.logger.error("The database lacks tables that this version wants: run manage.py db upgrade")
            return False
    except Exception:
        # Whatever is wrong with it: away, not migrated, wrong password. The log has the reason.
        current_app.logger.exception("The database does not answer")
        return False
    return True
