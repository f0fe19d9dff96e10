"""The digest's task. Nobody's job: it has no owner, and no schema to be submitted with over HTTP."""

import functools
import logging
import time
from dataclasses import asdict
from typing import Any

from celery import shared_task
from flask import current_app, g
from sqlalchemy.exc import OperationalError

from app.extensions import db
from app.jobs.alerts.failures import FailedJobsSource
from app.jobs.alerts.services import DigestInProgressError, DigestMail, forget_old_findings, send_digests
from app.mail import MailDelayedError, Mailer, MailSettings
from app.write_lock import wait_to_write
from libs.flask_celery import UNAVAILABLE

logger = logging.getLogger(__name__)

#: Seconds before each further try; together less than there are between two digests.
WAITS = (5, 60, 300, 900, 1800, 3600)

#: Seconds after which a run is ended at the latest. For longer than that it keeps its claim (``services.chain``).
TIME_LIMIT = 300

_LATER = (MailDelayedError, DigestInProgressError, OperationalError, *UNAVAILABLE)


@shared_task(  # type: ignore[untyped-decorator]
    name="alerts.email_alert", bind=True, max_retries=len(WAITS), time_limit=TIME_LIMIT
)
def email_alert(self: Any) -> dict[str, Any]:
    """Mail what has failed, was rejected or found twice since the last digest, up to when this was due."""
    settings: MailSettings | None = current_app.extensions["alerts"]
    if settings is None:
        _say_once_that_it_is_off()
        wait_to_write(db.session(), TIME_LIMIT / 2)
        forget_old_findings(db.session(), time.time_ns() // 1_000_000)
        return {"off": "SMTP_URL is not set."}
    retries, due_at = self.request.retries, g.get("due_at")
    try:
        sent = send_digests(
            db.session(),
            FailedJobsSource(self.app),
            _mail(settings),
            due_at=None if due_at is None else round(due_at.timestamp() * 1000),
            by=self.request.id,
            last_try=retries >= len(WAITS),
        )
    except _LATER as error:
        db.session.rollback()
        raise self.retry(exc=error, countdown=WAITS[min(retries, len(WAITS) - 1)]) from error
    return {"digests": [asdict(outcome) for outcome in sent]}


def _mail(settings: MailSettings) -> DigestMail:
    config = current_app.config["TASKGATE"]
    service = f"Taskgate {config.deployment}" if config.deployment else "Taskgate"
    return DigestMail(settings, Mailer(settings.server), service, config.timezone)


@functools.cache
def _say_once_that_it_is_off() -> None:
    logger.warning("No digests of failed jobs are mailed: SMTP_URL is not set")
