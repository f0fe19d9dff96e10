"""What jobs have found is told once: with their transaction, not twice, and not too late."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session, sessionmaker

from app.jobs.alerts.models import AlertFinding
from app.jobs.alerts.services import Finding, FindingKind, keep_finding
from app.jobs.alerts.services.findings import KEPT
from tests.jobs.alerts.conftest import Digests

ROWS = Finding(FindingKind.REJECTED_ROWS, 12, ["line 7, A-1: no name", "line 9, A-2: price"], "job", "refresh", "ann")
PAIRS = Finding(FindingKind.DUPLICATES, 1, ["A-1 and A-2 (0.97): same name"], "other", "match", "bob")


def keep(session: Session, *findings: Finding, at: int = 1_000) -> None:
    for finding in findings:
        keep_finding(session, finding, at)
    session.commit()


def text(digests: Digests, place: int = -1) -> str:
    body = digests.mailer.sent[place][0].get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_they_are_told_by_kind_with_counts_and_examples(digests: Digests, session: Session) -> None:
    keep(session, ROWS, replace(ROWS, task_id="next", count=3, examples=[]), PAIRS)

    digests.run(2_000)

    assert digests.mailer.sent[0][0]["Subject"] == "[Taskgate] 15 rejected rows, 1 duplicate"
    assert "15 REJECTED ROWS, found by 2 jobs" in text(digests)
    assert "1 DUPLICATE, found by 1 job\n" in text(digests)
    assert "refresh  job  of ann: 12\n    line 7, A-1: no name\n    line 9, A-2: price\n    …\n" in text(digests)
    assert "match  other  of bob: 1\n    A-1 and A-2 (0.97): same name\n" in text(digests)


def test_each_is_told_in_one_digest(digests: Digests, session: Session) -> None:
    keep(session, ROWS)
    digests.run(2_000)
    keep(session, PAIRS, at=2_500)
    digests.run(3_000)

    subjects = [message["Subject"] for message, _ in digests.mailer.sent]
    assert subjects == ["[Taskgate] 12 rejected rows", "[Taskgate] 1 duplicate"]


def test_a_job_that_runs_again_has_found_it_once(digests: Digests, session: Session) -> None:
    keep(session, ROWS)
    keep(session, replace(ROWS, count=11))
    digests.run(2_000)
    keep(session, ROWS)

    assert digests.run(3_000) == ["nothing"]
    assert [message["Subject"] for message, _ in digests.mailer.sent] == ["[Taskgate] 11 rejected rows"]


def test_what_is_committed_after_its_digest_has_gone_out_is_in_the_next(
    digests: Digests, session: Session, sessions: sessionmaker[Session]
) -> None:
    """A job has found something right before 10:00 and is committed right after."""
    if session.get_bind().dialect.name == "sqlite":
        assert digests.run(2_000) == ["nothing"]
        keep(session, ROWS)
    else:
        with sessions() as slow:
            keep_finding(slow, ROWS, 1_000)
            slow.flush()
            assert digests.run(2_000) == ["nothing"]
            slow.commit()

    assert digests.run(3_000) == ["sent"]


def test_what_is_found_after_the_due_time_waits_for_the_next(digests: Digests, session: Session) -> None:
    keep(session, ROWS, at=2_000)

    assert digests.run(2_000) == ["nothing"]
    assert digests.run(3_000) == ["sent"]


def test_what_a_job_found_that_failed_is_not_told(digests: Digests, session: Session) -> None:
    keep_finding(session, ROWS, 1_000)
    session.rollback()

    assert digests.run(2_000) == ["nothing"]


def test_few_examples_are_kept_each_a_short_line(session: Session) -> None:
    keep(session, replace(ROWS, examples=["x" * 5_000, "a\r\nb\x00c", *map(str, range(50))]))

    [found] = session.query(AlertFinding)
    assert len(found.examples) < 400
    assert "a b c" in found.examples
    session.rollback()


def test_they_are_forgotten_after_a_month_told_or_not(digests: Digests, session: Session) -> None:
    keep(session, ROWS)
    digests.jobs.clock = KEPT + 1_001

    assert digests.run(None) == ["nothing"]
    assert session.query(AlertFinding).count() == 0
    session.rollback()


def test_only_so_many_jobs_are_told_one_by_one(digests: Digests, session: Session) -> None:
    keep(session, *(replace(ROWS, task_id=f"job-{number:02}", count=1) for number in range(25)))

    digests.run(2_000)

    assert "25 REJECTED ROWS, found by 25 jobs" in text(digests)
    assert text(digests).count("  of ann: 1\n") == 20
    assert "and 5 jobs more" in text(digests)
