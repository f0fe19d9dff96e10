"""The Celery task around the digests: its options, its retries, and that it is quiet where nobody is to be mailed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.extensions import db
from app.jobs.alerts import tasks
from app.jobs.alerts.models import AlertDigest, AlertFinding
from app.jobs.alerts.services import DigestInProgressError, Finding, FindingKind, chain, keep_finding
from app.mail import MailDelayedError, MailRefusedError
from config import Config
from libs.flask_celery import FlaskCelery, job_specs
from tests.conftest import built_app

MAIL = {"smtp_url": "smtp://127.0.0.1:9?starttls=off", "alert_from": "t@example.com", "alert_to": "ops@example.com"}


@pytest.fixture
def celery_app(app: Flask) -> Iterator[FlaskCelery]:
    with app.app_context():
        yield app.extensions["celery"]


@pytest.fixture
def mailing_app(config: Config) -> Iterator[FlaskCelery]:
    with built_app(replace(config, **MAIL)) as app, app.app_context():
        yield app.extensions["celery"]


def test_without_a_server_it_does_nothing_and_says_so_once(
    celery_app: FlaskCelery, caplog: pytest.LogCaptureFixture
) -> None:
    tasks._say_once_that_it_is_off.cache_clear()
    task = celery_app.tasks["alerts.email_alert"]

    assert [task.apply().get() for _ in range(3)] == [{"off": "SMTP_URL is not set."}] * 3

    assert [record.message for record in caplog.records if "SMTP_URL" in record.message] == [
        "No digests of failed jobs are mailed: SMTP_URL is not set"
    ]
    assert db.session.query(AlertDigest).count() == 0


def test_without_a_server_findings_do_not_pile_up(celery_app: FlaskCelery) -> None:
    finding = Finding(FindingKind.DUPLICATES, 1, ["x"], "job", "match", "ann")
    keep_finding(db.session(), finding, now=1)
    db.session.commit()

    celery_app.tasks["alerts.email_alert"].apply().get()

    assert db.session.query(AlertFinding).count() == 0


def test_nobody_can_submit_it_over_http(celery_app: FlaskCelery) -> None:
    assert "alerts.email_alert" not in job_specs(celery_app)
    assert "maintenance.adds" in job_specs(celery_app)


@pytest.mark.parametrize(
    "error",
    [MailDelayedError("away"), DigestInProgressError(), OperationalError("SELECT", {}, Exception("away"))],
    ids=["mail", "in progress", "database"],
)
def test_what_passes_is_tried_again_and_longer_and_longer_after(
    mailing_app: FlaskCelery, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    last: list[bool] = []

    def fail(*_: object, last_try: bool, **__: object) -> None:
        last.append(last_try)
        raise error

    task = mailing_app.tasks["alerts.email_alert"]
    monkeypatch.setattr(tasks, "send_digests", fail)
    retry = type(task).retry

    def note_retry(self: object, **options: float) -> object:
        waits.append(options["countdown"])
        return retry(self, **options)

    monkeypatch.setattr(type(task), "retry", note_retry)
    task.apply()

    assert (*waits[:-1],) == tasks.WAITS
    assert last == [False] * len(tasks.WAITS) + [True]
    assert sum(tasks.WAITS) < 7 * 3600  # from 10:00 to 17:00


def test_what_somebody_has_to_see_to_fails_at_once(mailing_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MailRefusedError("535 no")

    monkeypatch.setattr(tasks, "send_digests", fail)

    with pytest.raises(MailRefusedError):
        mailing_app.tasks["alerts.email_alert"].apply(throw=True).get()


def test_a_claim_outlasts_the_longest_run() -> None:
    assert tasks.TIME_LIMIT * 1000 < chain.CLAIM
