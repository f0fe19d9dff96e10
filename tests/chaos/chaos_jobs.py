"""The jobs that are attacked. Workers load them with ``CELERY_IMPORTS``, the API with its factory of ``api.py``."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from celery import shared_task
from marshmallow import Schema, fields

from app.extensions import db
from libs.flask_celery import current_job, job
from tests.chaos import effects, journal

_SLICE = 0.1


class ChaosParams(Schema):
    number = fields.Integer(required=True)
    seconds = fields.Float(load_default=0.0)
    fails = fields.Boolean(load_default=False)
    retries = fields.Integer(load_default=0)


class JobFails(Exception):
    """The end of a job that is planned to fail."""


def _work(
    task: Any, *, transactional: bool, number: int, seconds: float, fails: bool, retries: int
) -> dict[str, Any]:
    request = task.request
    run, attempt = uuid4().hex, request.retries
    about: dict[str, Any] = {"number": number, "run": run, "attempt": attempt, "transactional": transactional}
    journal.write("start", request.id, **about)
    try:
        db.session.execute(effects.INSERT, {"task_id": request.id, "run": run})
        _pass_time(seconds)
        if attempt < retries:
            raise task.retry(countdown=0.3, max_retries=retries + 3)
        if fails:
            raise JobFails(f"job {number} fails as planned")
    except Exception:
        journal.write("raise", request.id, **about)
        raise
    journal.write("end", request.id, **about)
    return {"number": number, "run": run}


def _pass_time(seconds: float) -> None:
    """By the clock, so that a frozen job is at its end when it goes on."""
    if seconds < _SLICE:
        time.sleep(seconds)
        return
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        current_job.progress(round(1000 * (seconds - left)), round(1000 * seconds))
        time.sleep(min(_SLICE, left))


@job("chaos.plain", params=ChaosParams, bind=True)
def plain(self: Any, **params: Any) -> dict[str, Any]:
    """A job whose effect may be applied again when its worker is killed."""
    return _work(self, transactional=False, **params)


@job("chaos.transactional", params=ChaosParams, bind=True, transactional=True)
def transactional(self: Any, **params: Any) -> dict[str, Any]:
    """A job whose effect is applied exactly once."""
    return _work(self, transactional=True, **params)


@shared_task(name="chaos.tick", ignore_result=True)
def tick() -> None:
    """What beat submits."""
