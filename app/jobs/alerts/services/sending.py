"""Sending what there is to report, each digest once."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from email.message import EmailMessage

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.jobs.alerts.services.chain import DigestStatus, OpenDigest, claim_again, claim_next, settle
from app.jobs.alerts.services.digest import Digest, DigestSource, read_digest
from app.jobs.alerts.services.findings import forget_old_findings
from app.jobs.alerts.services.writing import write_mail
from app.mail import Handover, MailDelayedError, Mailer, MailError, MailSettings

logger = logging.getLogger(__name__)

#: That a mail was taken is written down as often as it takes, within reason: forgotten, it would be sent again.
_NOTE_ATTEMPTS, _NOTE_PAUSE = 10, 1.0


@dataclass(frozen=True, slots=True)
class DigestMail:
    """How digests are mailed. ``service`` is what they call the installation, ``timezone`` that of their times."""

    settings: MailSettings
    mailer: Mailer
    service: str
    timezone: tzinfo


@dataclass(frozen=True, slots=True)
class DigestOutcome:
    """What has become of a digest, and of what time it is (ms)."""

    since: int
    until: int
    status: str
    counts: Mapping[str, int]
    taken: tuple[str, ...]
    refused: Mapping[str, str]


def send_digests(
    session: Session,
    source: DigestSource,
    mail: DigestMail,
    *,
    due_at: int | None,
    by: str,
    last_try: bool = False,
) -> list[DigestOutcome]:
    """Finish the digest that a former run has left open, if any, then send that of the time up to ``due_at``.

    Commits as it goes; called again after whatever has happened, it goes on. A mail that the server has taken is not
    sent again unless that could not be written down: then once more, under the same Message-ID.

    Args:
        due_at: in ms; None for now. A time that is yet to come counts as now.
        by: the task id of the job that this is.
        last_try: whoever cannot be reached for the moment is given up, if anybody at all was.

    Raises: DigestInProgressError, MailDelayedError: to be called again later; MailRefusedError: somebody has to see
        to it; redis-py's and SQLAlchemy's errors.
    """
    now = source.now()
    until = now if due_at is None else min(due_at, now)
    forget_old_findings(session, now)
    session.commit()
    outcomes: list[DigestOutcome] = []
    domain = mail.settings.sender.domain
    while (digest := claim_next(session, until=until, by=by, now=_ms(), domain=domain)) is not None:
        outcomes.append(_send(session, source, mail, digest, last_try=last_try))
    return outcomes


def _send(
    session: Session, source: DigestSource, mail: DigestMail, claimed: OpenDigest, *, last_try: bool
) -> DigestOutcome:
    digest = read_digest(session, source, claimed)
    if not digest.counts:
        settle(session, claimed, DigestStatus.NOTHING)
        return _outcome(claimed, DigestStatus.NOTHING, digest)
    message = write_mail(
        digest,
        message_id=claimed.message_id,
        sender=mail.settings.sender,
        recipients=mail.settings.recipients,
        service=mail.service,
        timezone=mail.timezone,
    )
    done = {*claimed.taken, *claimed.refused}
    remaining = [to.addr_spec for to in mail.settings.recipients if to.addr_spec not in done]
    if not remaining:  # the settings have changed
        settle(session, claimed, DigestStatus.SENT)
        return _outcome(claimed, DigestStatus.SENT, digest)
    # Asked of the database right before: a run that was frozen meanwhile learns here that it was overtaken.
    claimed = claim_again(session, claimed, by=claimed.claimed_by, now=_ms())
    handover = _hand_over(session, mail.mailer, claimed, message, remaining, last_try=last_try)
    claimed = _after(claimed, handover, last_try=last_try)
    if claimed.refused:
        logger.error("Not everybody can be sent the digest up to %s: %s", digest.until, dict(claimed.refused))
    if _is_open(handover, last_try=last_try):
        raise MailDelayedError("Some of the recipients cannot be reached for the moment.", handover)
    return _outcome(claimed, DigestStatus.SENT, digest)


def _hand_over(
    session: Session,
    mailer: Mailer,
    claimed: OpenDigest,
    message: EmailMessage,
    remaining: Sequence[str],
    *,
    last_try: bool,
) -> Handover:
    """Raises: MailError while nobody has it, so that there is nothing to write down."""

    def note(handover: Handover) -> None:
        status = DigestStatus.OPEN if _is_open(handover, last_try=last_try) else DigestStatus.SENT
        _settle_surely(session, _after(claimed, handover, last_try=last_try), status)

    try:
        return mailer.send(message, remaining, then=note)
    except MailError as error:
        if not claimed.taken or (error.handover is None and not last_try):
            raise
        # The others have it: these few are no reason to hold up the digests to come.
        handover = error.handover or Handover((), {}, dict.fromkeys(remaining, str(error)))
        note(handover)
        return handover


def _is_open(handover: Handover, *, last_try: bool) -> bool:
    return bool(handover.delayed) and not last_try


def _after(claimed: OpenDigest, handover: Handover, *, last_try: bool) -> OpenDigest:
    given_up = handover.delayed if last_try else {}
    refused = {**claimed.refused, **handover.refused, **given_up}
    return replace(claimed, taken=(*claimed.taken, *handover.taken), refused=refused)


def _settle_surely(session: Session, claimed: OpenDigest, status: DigestStatus) -> None:
    """Raises: DBAPIError when the database stays away; whoever has the mail is then sent it once more."""
    for attempts_left in reversed(range(_NOTE_ATTEMPTS)):
        try:
            settle(session, claimed, status)
            return
        except DBAPIError:
            session.rollback()
            if not attempts_left:
                raise
            time.sleep(_NOTE_PAUSE)


def _outcome(claimed: OpenDigest, status: DigestStatus, digest: Digest) -> DigestOutcome:
    return DigestOutcome(
        since=claimed.since,
        until=claimed.until,
        status=status.value,
        counts=digest.counts,
        taken=claimed.taken,
        refused=claimed.refused,
    )


def _ms() -> int:
    return time.time_ns() // 1_000_000
