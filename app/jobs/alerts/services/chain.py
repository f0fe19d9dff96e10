"""Whose turn it is: digests are a chain, each of the time since the one before, and one at a time is being sent.

The row of a digest is committed before anything is sent. A run that finds one that is not done finishes that one
first, of exactly its time and under its Message-ID, whoever has begun it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import make_msgid
from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.jobs.alerts.models import AlertDigest, AlertFinding

#: For how long a claim counts, in ms. Longer than a run may take (``tasks.TIME_LIMIT``).
CLAIM = 330_000

#: For how long digests that are done are kept, in ms: a year.
_KEPT = 365 * 24 * 3_600_000


class DigestStatus(StrEnum):
    """What has become of a digest."""

    OPEN = "open"  # to be sent, perhaps being sent
    SENT = "sent"  # everyone has it who can get it
    NOTHING = "nothing"  # there was nothing to report


class DigestInProgressError(Exception):
    """Another job sees to the digest just now, or has overtaken this one."""


@dataclass(frozen=True, slots=True)
class OpenDigest:
    """A digest that is the caller's to send: of which time (ms), under which name, and who has got it by now."""

    since: int
    until: int
    message_id: str
    claimed_by: str
    claimed_at: int
    taken: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def claim_next(session: Session, *, until: int, by: str, now: int, domain: str) -> OpenDigest | None:
    """Take the digest that is to be sent next, and commit that: an open one, else that of the time up to ``until``.

    Args:
        by: the task id of the caller. What was claimed under it before is its own: its former run is over.
        domain: of the Message-ID.

    Returns: None when all up to ``until`` is told. Raises: DigestInProgressError.
    """
    row = session.scalars(select(AlertDigest).order_by(AlertDigest.since.desc()).limit(1)).one_or_none()
    if row is not None and row.status == DigestStatus.OPEN:
        found = _open(row)
        session.rollback()
        # One from a future that is further away than clocks differ was made by a clock that was wrong.
        if found.claimed_by != by and abs(now - found.claimed_at) < CLAIM:
            raise DigestInProgressError
        return claim_again(session, found, by=by, now=now)
    since = row.until if row is not None else 0
    if until <= since:
        session.rollback()
        return None
    return _begin(session, since=since, until=until, by=by, now=now, domain=domain)


def claim_again(session: Session, digest: OpenDigest, *, by: str, now: int) -> OpenDigest:
    """Make it, or keep it, the caller's, committed. Raises: DigestInProgressError when somebody was quicker."""
    as_known = (
        AlertDigest.since == digest.since,
        AlertDigest.status == DigestStatus.OPEN,
        AlertDigest.claimed_by == digest.claimed_by,
        AlertDigest.claimed_at == digest.claimed_at,
    )
    # Not the same number again, so that whoever else has read the old one sees that it is too late.
    claimed_at = max(now, digest.claimed_at + 1)
    claim = update(AlertDigest).where(*as_known).values(claimed_by=by, claimed_at=claimed_at)
    changed = session.execute(claim.returning(AlertDigest.since)).one_or_none()
    session.commit()
    if changed is None:
        raise DigestInProgressError
    return replace(digest, claimed_by=by, claimed_at=claimed_at)


def settle(session: Session, digest: OpenDigest, status: DigestStatus) -> None:
    """Write down what has become of it, and who has got it by now. Commits."""
    values = {"status": status.value, "taken": json.dumps(digest.taken), "refused": json.dumps(dict(digest.refused))}
    session.execute(update(AlertDigest).where(AlertDigest.since == digest.since).values(values))
    session.commit()


def _begin(session: Session, *, since: int, until: int, by: str, now: int, domain: str) -> OpenDigest:
    digest = OpenDigest(since, until, make_msgid(f"digest-{until}", domain), by, now)
    row = AlertDigest(
        since=since,
        until=until,
        message_id=digest.message_id,
        status=DigestStatus.OPEN.value,
        claimed_by=by,
        claimed_at=now,
        taken="[]",
        refused="{}",
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise DigestInProgressError from error
    # By this mark and not by their time: the transaction of a job that found something earlier may commit later.
    untold = (AlertFinding.digest.is_(None), AlertFinding.found_at < until)
    session.execute(update(AlertFinding).where(*untold).values(digest=since))
    session.execute(delete(AlertDigest).where(AlertDigest.until < now - _KEPT, AlertDigest.since < since))
    session.commit()
    return digest


def _open(row: AlertDigest) -> OpenDigest:
    return OpenDigest(
        since=row.since,
        until=row.until,
        message_id=row.message_id,
        claimed_by=row.claimed_by,
        claimed_at=row.claimed_at,
        taken=tuple(json.loads(row.taken)),
        refused=json.loads(row.refused),
    )
