"""Digests in plain Python: a database, failed jobs that tests make up, and a mailer that is told what to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from app.extensions import Base
from app.jobs.alerts.models import AlertDigest, AlertFinding
from app.jobs.alerts.services import DigestMail, DigestOutcome, FailedJobLine, FailedJobsPart, send_digests
from app.mail import Handover, MailDelayedError, MailRefusedError, read_mail_settings

A, B, C = "a@example.com", "b@example.com", "c@example.com"

TABLES = [AlertDigest.__table__, AlertFinding.__table__]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('db') / 'alerts.db'}")
        Base.metadata.create_all(engine, tables=TABLES)  # type: ignore[arg-type]
        yield engine
        engine.dispose()
        return
    server: Engine = request.getfixturevalue("postgresql")
    Base.metadata.create_all(server, tables=TABLES)  # type: ignore[arg-type]
    yield server
    Base.metadata.drop_all(server, tables=TABLES)  # type: ignore[arg-type]


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine)


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    with sessions() as session:
        yield session


def a_failure(at: int, error: str = "ValueError: no", task: str = "reports.build") -> FailedJobLine:
    return FailedJobLine(f"job-{at}", task, "ann", datetime.fromtimestamp(at / 1000, tz=UTC), error)


@dataclass
class FakeJobs:
    """Failed jobs by the time they failed (ms), and what the clock shows."""

    failures: list[FailedJobLine] = field(default_factory=list)
    clock: int = 1_000_000

    def now(self) -> int:
        return self.clock

    def between(self, since: int, until: int, *, newest: int) -> FailedJobsPart:
        found = [job for job in self.failures if since <= job.failed_at.timestamp() * 1000 < until]
        counts: dict[str, int] = {}
        for job in found:
            counts[job.task] = counts.get(job.task, 0) + 1
        return FailedJobsPart(counts, tuple(found[::-1][:newest]))


@dataclass
class FakeMailer:
    """Takes what it is given, unless it is told otherwise, for an address or for the whole."""

    answers: dict[str, int] = field(default_factory=dict)
    fails_with: Exception | None = None
    sent: list[tuple[EmailMessage, tuple[str, ...]]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def send(self, message: EmailMessage, recipients: Sequence[str], then: Callable[[Handover], None]) -> Handover:
        self.before()
        if self.fails_with is not None:
            raise self.fails_with
        refused = {to: f"{self.answers[to]}" for to in recipients if self.answers.get(to, 0) >= 500}
        delayed = {to: f"{self.answers[to]}" for to in recipients if 400 <= self.answers.get(to, 0) < 500}
        handover = Handover(tuple(to for to in recipients if to not in refused | delayed), refused, delayed)
        if not handover.taken:
            raise (MailDelayedError if delayed else MailRefusedError)("nobody", handover)
        self.sent.append((message, handover.taken))
        then(handover)
        return handover

    @property
    def ids(self) -> list[str]:
        return [message["Message-ID"] for message, _ in self.sent]


@dataclass
class Digests:
    """One installation's digests."""

    session: Session
    jobs: FakeJobs
    mailer: FakeMailer

    def run(self, due_at: int | None = None, *, by: str = "one", to: str = f"{A},{B}", **options: Any) -> Any:
        outcomes: list[DigestOutcome] = send_digests(
            self.session, self.jobs, self.mail(to), due_at=due_at, by=by, **options
        )
        return [outcome.status for outcome in outcomes]

    def mail(self, to: str = f"{A},{B}") -> DigestMail:
        settings = read_mail_settings("smtp://127.0.0.1", "Taskgate <taskgate@example.com>", to)
        assert settings is not None
        return DigestMail(settings, self.mailer, "Taskgate", ZoneInfo("Asia/Shanghai"))  # type: ignore[arg-type]

    def rows(self) -> list[AlertDigest]:
        rows = list(self.session.query(AlertDigest).order_by(AlertDigest.since))
        self.session.rollback()
        return rows


@pytest.fixture
def digests(session: Session) -> Digests:
    return Digests(session, FakeJobs(), FakeMailer())
