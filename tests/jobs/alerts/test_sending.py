"""Each digest once, whatever breaks off: what was sent is known, and what was not is sent by whoever comes next."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.jobs.alerts.services import DigestInProgressError, chain, sending
from app.jobs.alerts.services.chain import claim_next
from app.mail import MailDelayedError, MailRefusedError
from tests.jobs.alerts.conftest import A, B, C, Digests, a_failure


class Killed(BaseException):
    """The process has ended right there."""


def test_a_digest_tells_what_has_failed_since_the_one_before(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(at) for at in (100, 1_999, 2_000, 2_500)]

    assert digests.run(2_000) == ["sent"]
    assert digests.run(3_000) == ["sent"]

    subjects = [message["Subject"] for message, _ in digests.mailer.sent]
    assert subjects == ["[Taskgate] 2 failed jobs", "[Taskgate] 2 failed jobs"]
    [first, second] = [message.get_body(("plain",)).get_content() for message, _ in digests.mailer.sent]  # type: ignore[union-attr]
    assert [f"job-{at}" in first for at in (100, 1_999, 2_000, 2_500)] == [True, True, False, False]
    assert [f"job-{at}" in second for at in (100, 1_999, 2_000, 2_500)] == [False, False, True, True]
    assert "all that is known to 1970-01-01 08:00:02 (Asia/Shanghai)" in first
    assert "from 1970-01-01 08:00:02 to 1970-01-01 08:00:03 (Asia/Shanghai)" in second


def test_nothing_to_report_is_no_mail_and_is_not_looked_at_again(digests: Digests) -> None:
    assert digests.run(2_000) == ["nothing"]
    assert digests.run(2_000) == []

    assert digests.mailer.sent == []
    assert [(row.since, row.until, row.status) for row in digests.rows()] == [(0, 2_000, "nothing")]


def test_who_runs_it_again_sends_nothing(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]

    assert digests.run(2_000) == ["sent"]
    assert digests.run(2_000) == []
    assert digests.run(2_000, by="two") == []
    assert digests.run(1_500, by="late") == []

    assert len(digests.mailer.sent) == 1


def test_a_time_that_is_yet_to_come_is_now(digests: Digests) -> None:
    """By the clock that failures are listed by, or one that fails right after would be told in no digest."""
    now = digests.jobs.clock = sending._ms()
    digests.jobs.failures = [a_failure(now - 100)]
    digests.run(now + 5_000)
    digests.jobs.failures.append(a_failure(now + 200))
    digests.jobs.clock = now + 9_000

    digests.run(None)

    assert [(row.since, row.until) for row in digests.rows()] == [(0, now), (now, now + 9_000)]
    assert len(digests.mailer.sent) == 2


def test_what_is_being_sent_by_one_is_not_sent_by_another(digests: Digests, sessions: sessionmaker[Session]) -> None:
    digests.jobs.failures = [a_failure(100)]
    seen: list[str] = []

    def meanwhile() -> None:
        digests.mailer.before = lambda: None
        with sessions() as session, pytest.raises(DigestInProgressError):
            Digests(session, digests.jobs, digests.mailer).run(2_000, by="two")
        seen.append("in progress")

    digests.mailer.before = meanwhile

    assert digests.run(2_000, by="one") == ["sent"]
    assert seen == ["in progress"]
    assert len(digests.mailer.sent) == 1


def test_of_two_that_begin_at_once_one_does(
    digests: Digests, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests.jobs.failures = [a_failure(100)]
    insert = chain._begin

    def begin_after_another(session: Session, **values: object) -> chain.OpenDigest:
        with sessions() as other:
            insert(other, **{**values, "by": "two"})  # type: ignore[arg-type]
        return insert(session, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(chain, "_begin", begin_after_another)
    with pytest.raises(DigestInProgressError):
        digests.run(2_000, by="one")

    assert digests.mailer.sent == []


def test_a_killed_run_is_gone_on_with_by_its_next_delivery_at_once(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]

    def kill() -> None:
        digests.mailer.before = lambda: None
        raise Killed

    digests.mailer.before = kill
    with pytest.raises(Killed):
        digests.run(2_000)
    digests.session.rollback()
    began = digests.rows()[0].message_id

    digests.jobs.failures.append(a_failure(2_500))
    digests.jobs.clock = 3_000
    assert digests.run(2_000) == ["sent"]

    assert digests.mailer.ids == [began]
    assert digests.mailer.sent[0][0]["Subject"] == "[Taskgate] 1 failed job"


def test_what_nobody_goes_on_with_is_finished_by_the_next_digest_under_its_own_name(
    digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests.jobs.failures = [a_failure(100), a_failure(2_500), a_failure(2_600)]
    digests.mailer.fails_with = MailRefusedError("535 no")
    with pytest.raises(MailRefusedError):
        digests.run(2_000)
    began = digests.rows()[0].message_id
    digests.mailer.fails_with = None

    with pytest.raises(DigestInProgressError):
        digests.run(3_000, by="next")
    now = sending._ms()
    monkeypatch.setattr(sending, "_ms", lambda: now + chain.CLAIM)

    assert digests.run(3_000, by="next") == ["sent", "sent"]
    assert digests.mailer.ids[0] == began
    subjects = [message["Subject"] for message, _ in digests.mailer.sent]
    assert subjects == ["[Taskgate] 1 failed job", "[Taskgate] 2 failed jobs"]


def test_a_run_that_was_frozen_and_overtaken_sends_nothing(
    digests: Digests, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is frozen while it reads what to report; its job is delivered again, and that run sends the digest."""
    digests.jobs.failures = [a_failure(100)]
    read = sending.read_digest

    def read_slowly(*arguments: object) -> object:
        monkeypatch.setattr(sending, "read_digest", read)
        with sessions() as session:
            assert Digests(session, digests.jobs, digests.mailer).run(2_000) == ["sent"]
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "read_digest", read_slowly)
    with pytest.raises(DigestInProgressError):
        digests.run(2_000)

    assert len(digests.mailer.sent) == 1
    assert [row.status for row in digests.rows()] == ["sent"]


def test_a_run_that_was_frozen_leaves_the_mail_to_the_one_that_is_at_it_now(
    digests: Digests, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, and the other run of the same job is not done yet."""
    digests.jobs.failures = [a_failure(100)]
    read = sending.read_digest

    def read_slowly(*arguments: object) -> object:
        with sessions() as session:
            assert chain.claim_next(session, until=2_000, by="one", now=sending._ms(), domain="example.com")
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "read_digest", read_slowly)
    with pytest.raises(DigestInProgressError):
        digests.run(2_000, by="one")

    assert digests.mailer.sent == []


def test_a_delayed_recipient_is_tried_again_alone(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]
    digests.mailer.answers = {B: 450}
    with pytest.raises(MailDelayedError):
        digests.run(2_000)
    digests.mailer.answers = {}

    assert digests.run(2_000) == ["sent"]
    assert [taken for _, taken in digests.mailer.sent] == [(A,), (B,)]
    assert len(set(digests.mailer.ids)) == 1
    assert digests.run(2_000) == []


def test_a_refused_recipient_is_reported_and_the_others_have_it(
    digests: Digests, caplog: pytest.LogCaptureFixture
) -> None:
    digests.jobs.failures = [a_failure(100)]
    digests.mailer.answers = {B: 550}

    assert digests.run(2_000, to=f"{A},{B},{C}") == ["sent"]

    assert [taken for _, taken in digests.mailer.sent] == [(A, C)]
    assert (digests.rows()[0].taken, digests.rows()[0].refused) == (f'["{A}", "{C}"]', f'{{"{B}": "550"}}')
    assert B in caplog.text


def test_a_recipient_who_stays_delayed_does_not_hold_up_the_digests_to_come(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100), a_failure(2_500)]
    digests.mailer.answers = {B: 450}
    with pytest.raises(MailDelayedError):
        digests.run(2_000)
    with pytest.raises(MailDelayedError):
        digests.run(2_000)

    assert digests.run(2_000, last_try=True) == ["sent"]

    assert B in digests.rows()[0].refused
    assert digests.run(3_000, last_try=True) == ["sent"]
    assert [taken for _, taken in digests.mailer.sent] == [(A,), (A,)]


def test_while_nobody_has_it_the_digest_stays_to_be_sent(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]
    for answer, error in ((450, MailDelayedError), (550, MailRefusedError)):
        digests.mailer.answers = {A: answer, B: answer}
        with pytest.raises(error):
            digests.run(2_000, last_try=True)

    digests.mailer.answers = {}
    assert digests.run(2_000) == ["sent"]
    assert [taken for _, taken in digests.mailer.sent] == [(A, B)]


def test_one_whom_the_settings_name_no_longer_is_not_waited_for(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]
    digests.mailer.answers = {B: 450}
    with pytest.raises(MailDelayedError):
        digests.run(2_000)

    assert digests.run(2_000, to=A) == ["sent"]
    assert len(digests.mailer.sent) == 1


def test_that_it_was_taken_is_written_down_when_the_database_is_back(
    digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests.jobs.failures = [a_failure(100)]
    monkeypatch.setattr(sending, "_NOTE_PAUSE", 0)
    settle, tries = sending.settle, []

    def away(*arguments: object) -> None:
        tries.append(arguments)
        if len(tries) < 3:
            raise OperationalError("UPDATE", {}, Exception("away"))
        settle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "settle", away)
    assert digests.run(2_000) == ["sent"]

    assert len(tries) == 3
    assert digests.run(2_000) == []
    assert len(digests.mailer.sent) == 1


def test_no_transaction_is_open_while_the_server_takes_its_time(digests: Digests) -> None:
    digests.jobs.failures = [a_failure(100)]
    open_while_sending: list[bool] = []
    digests.mailer.before = lambda: open_while_sending.append(digests.session.in_transaction())

    digests.run(2_000)

    assert open_while_sending == [False]


def test_digests_are_forgotten_after_a_year_but_for_the_last(
    digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = digests.jobs.clock = sending._ms()
    for until in (now - 3_000, now - 2_000):
        digests.run(until)
    assert len(digests.rows()) == 2
    monkeypatch.setattr(sending, "_ms", lambda: now + 366 * 24 * 3_600_000)

    assert digests.run(now - 2_000) == []
    assert digests.run(now - 1_000) == ["nothing"]
    assert [row.until for row in digests.rows()] == [now - 1_000]


def test_a_claim_by_a_clock_that_was_wrong_holds_up_no_digest(session: Session) -> None:
    day = 24 * 3_600_000
    claim_next(session, until=2_000, by="killed", now=10 * day, domain="example.com")

    with pytest.raises(DigestInProgressError):  # a clock may be a little behind another
        claim_next(session, until=2_000, by="other", now=10 * day - 10_000, domain="example.com")

    claimed = claim_next(session, until=2_000, by="other", now=9 * day, domain="example.com")

    assert claimed is not None
    assert claimed.claimed_by == "other"
