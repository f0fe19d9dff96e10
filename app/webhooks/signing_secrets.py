"""What each principal's webhooks are signed with; in SQL, as API keys are.

A secret has to be read again to sign, so it is encrypted, not hashed: who has the database, or a backup, and not
``SECRET_KEY`` can forge nothing. It is not derived from ``SECRET_KEY``, or changing that would change the secrets of
all receivers at once.
"""

import base64
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import String, Text, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.extensions import Base
from app.models import UtcDateTime
from app.webhooks.signing import new_secret

#: For so long after a rotation webhooks are signed with the old secret too.
GRACE = timedelta(hours=24)

#: Secrets that sign at once, the newest ones, however often one rotates: each is a signature in a header.
MOST_SIGNING = 4

_PURPOSE = b"taskgate.webhook-secret"


class SigningSecretError(Exception):
    """There is no secret that can be read here: none was made, or it was under another ``SECRET_KEY``."""


class StoredSecret(Base):
    """A principal's signing secret. The last one has no end."""

    __tablename__ = "webhook_secrets"

    principal: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    encrypted: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class ShownSecret:
    """A principal's secret, for the principal."""

    secret: str = field(repr=False)
    created_at: datetime
    previous_until: datetime | None  # until then the one before signs too


class SigningSecrets:
    """Makes, shows, rotates and uses them. Sessions are the caller's, who commits.

    Args:
        secret_keys: gives the installation's secrets, newest first; asked when the first one is needed.
    """

    def __init__(self, secret_keys: Callable[[], Sequence[str]]) -> None:
        self._secret_keys = secret_keys

    def current(self, session: Session, principal: str) -> ShownSecret:
        """The principal's secret, made when there is none yet. Raises: SigningSecretError."""
        rows = self._signing(session, principal)
        if not rows:
            try:
                with session.begin_nested():
                    self._add(session, principal, 1)
            except IntegrityError:  # somebody else was faster
                session.expire_all()
            rows = self._signing(session, principal)
        return self._shown(rows)

    def rotate(self, session: Session, principal: str) -> ShownSecret:
        """Make a new one; those before it sign for :data:`GRACE` longer.

        Raises: IntegrityError when somebody else does so at the same moment.
        """
        ends_at = datetime.now(UTC) + GRACE
        rows = self._signing(session, principal, lock=True)
        for row in rows:
            row.ends_at = min(ends_at, row.ends_at or ends_at)
        newest = select(StoredSecret.number).where(StoredSecret.principal == principal)
        number = session.scalar(newest.order_by(StoredSecret.number.desc()).limit(1)) or 0
        self._add(session, principal, number + 1)
        past = StoredSecret.number <= number + 1 - MOST_SIGNING
        session.execute(delete(StoredSecret).where(StoredSecret.principal == principal, past))
        return self._shown(self._signing(session, principal))

    def signing(self, session: Session, principal: str) -> list[str]:
        """Those that sign now, newest first. Raises: SigningSecretError."""
        rows = self._signing(session, principal)
        if not rows:
            raise SigningSecretError("The principal has no signing secret. GET webhooks/secret makes one.")
        secrets = [self._read(rows[0])]
        for row in rows[1:]:
            try:
                secrets.append(self._read(row))
            except SigningSecretError:  # the receiver has the new one, or will not be told by waiting
                continue
        return secrets

    def _signing(self, session: Session, principal: str, *, lock: bool = False) -> list[StoredSecret]:
        now = datetime.now(UTC)
        query = select(StoredSecret).where(StoredSecret.principal == principal)
        query = query.order_by(StoredSecret.number.desc()).limit(MOST_SIGNING)
        rows = session.scalars(query.with_for_update() if lock else query)
        return [row for row in rows if row.ends_at is None or row.ends_at > now]

    def _add(self, session: Session, principal: str, number: int) -> None:
        encrypted = self._cipher.encrypt(new_secret().encode()).decode()
        row = StoredSecret(principal=principal, number=number, encrypted=encrypted, created_at=datetime.now(UTC))
        session.add(row)
        session.flush()

    def _shown(self, rows: Sequence[StoredSecret]) -> ShownSecret:
        return ShownSecret(self._read(rows[0]), rows[0].created_at, rows[1].ends_at if len(rows) > 1 else None)

    def _read(self, row: StoredSecret) -> str:
        try:
            return self._cipher.decrypt(row.encrypted.encode()).decode()
        except InvalidToken as error:
            raise SigningSecretError(
                "The signing secret was made under a SECRET_KEY that this process does not have."
            ) from error

    @functools.cached_property
    def _cipher(self) -> MultiFernet:
        """The newest encrypts, every one decrypts."""
        return MultiFernet([Fernet(_derived(key)) for key in self._secret_keys()])


def _derived(secret_key: str) -> bytes:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret_key.encode())
    return base64.urlsafe_b64encode(key)
