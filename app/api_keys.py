"""API keys: made, checked, rotated, revoked. Knows SQL and nothing of HTTP."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.orm import Session

from app.models import ApiKey, KeyWebhook

#: What create_key() makes. Anything else never reaches SQL, where a NUL, say, would be an error.
_KEY = re.compile(r"tg_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"  # submit jobs, upload files
    READ = "read"  # read its principal's own jobs, results and files
    CANCEL = "cancel"  # cancel its principal's own jobs
    METRICS = "metrics"  # read what Prometheus reads
    ADMIN = "admin"  # all of the above, for every principal's jobs, tracebacks included


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what the key it called with may do."""

    name: str
    scopes: frozenset[Scope]
    key_id: str | None = None  # of the API key it called with
    webhook: str | None = field(default=None, repr=False)  # of that key: may hold a token

    def may(self, scope: Scope) -> bool:
        """Whether it has the scope, admin standing for all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def owns(self, owner: str) -> bool:
        """Whether a job of ``owner`` is this principal's to see."""
        return self.name == owner or Scope.ADMIN in self.scopes


def create_key(
    session: Session,
    principal: str,
    scopes: Iterable[Scope],
    *,
    expires_at: datetime | None = None,
    webhook: str | None = None,
) -> str:
    """Add a key. Returns: the key, which is not kept and cannot be shown again. The caller commits."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            id=key_id,
            principal=principal,
            scopes=" ".join(sorted(scope.value for scope in scopes)),
            secret_hash=_hash(secret),
            created_at=datetime.now(UTC),
            expires_at=expires_at,
        )
    )
    if webhook is not None:
        session.flush()
        set_webhook(session, key_id, webhook)
    return f"tg_{key_id}_{secret}"


def find_principal(session: Session, key: str) -> Principal | None:
    """The principal of a key; None when there is no such key, or it is revoked or over.

    The secret has 256 random bits, so one SHA-256 is enough; slow hashes are for what people choose.
    """
    parts = _KEY.fullmatch(key)
    row = session.get(ApiKey, parts["id"]) if parts is not None else None
    if parts is None or row is None or not compare_digest(row.secret_hash, _hash(parts["secret"])):
        return None
    return _principal(session, row)


def principal_of(session: Session, key_id: str) -> Principal | None:
    """The same for who has shown the key before, by its id."""
    row = session.get(ApiKey, key_id)
    return None if row is None else _principal(session, row)


def _principal(session: Session, row: ApiKey) -> Principal | None:
    if not row.is_active(datetime.now(UTC)):
        return None
    return Principal(row.principal, _scopes(row), row.id, webhook_of(session, row.id))


def revoke_key(session: Session, key_id: str) -> bool:
    """Revoke a key; API processes forget it within seconds. Returns: whether there was one. The caller commits."""
    row = session.get(ApiKey, key_id)
    if row is None or row.revoked_at is not None:
        return False
    row.revoked_at = datetime.now(UTC)
    return True


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key in the place of another one."""

    key: str = field(repr=False)
    expires_at: datetime | None  # of the new key
    old_ends_at: datetime


def rotate_key(session: Session, key_id: str, *, grace: timedelta) -> Rotation | None:
    """Make a key of the same principal and scopes; the old one ends after ``grace``, or earlier if it was to.

    A key that was to end lives anew for as long as the old one was made for. None when there is no key of this id
    that works. The caller commits.
    """
    now = datetime.now(UTC)
    row = session.get(ApiKey, key_id)
    if row is None or not row.is_active(now):
        return None
    expires_at = None if row.expires_at is None else now + (row.expires_at - row.created_at)
    key = create_key(session, row.principal, _scopes(row), expires_at=expires_at, webhook=webhook_of(session, key_id))
    row.expires_at = min(now + grace, row.expires_at or now + grace)
    return Rotation(key, expires_at, row.expires_at)


def note_use(connection: Connection, key_id: str, used_at: datetime) -> None:
    """Keep that a key was used, unless a later use is kept already. The caller commits."""
    earlier = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < used_at)
    connection.execute(update(ApiKey).where(ApiKey.id == key_id, earlier).values(last_used_at=used_at))


def webhook_of(session: Session, key_id: str) -> str | None:
    """Where the ends of jobs are told that were submitted with this key, unless they say so themselves."""
    row = session.get(KeyWebhook, key_id)
    return None if row is None else row.url


def set_webhook(session: Session, key_id: str, url: str | None) -> str | None:
    """Change that, or with None take it away; API processes notice within seconds. The caller commits.

    Returns: the principal; None when there is no key of this id that works.
    """
    key = session.get(ApiKey, key_id)
    if key is None or not key.is_active(datetime.now(UTC)):
        return None
    row = session.get(KeyWebhook, key_id)
    if row is not None and url is None:
        session.delete(row)
    elif row is not None and url is not None:
        row.url = url
    elif url is not None:
        session.add(KeyWebhook(key_id=key_id, url=url))
    return key.principal


def list_keys(session: Session) -> list[ApiKey]:
    """All keys, oldest first."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at)))


def _scopes(row: ApiKey) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in row.scopes.split())


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
