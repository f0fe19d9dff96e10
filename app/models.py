"""What the service keeps in SQL for itself. A job package has models of its own."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, String, Text, TypeDecorator
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from libs.flask_celery import completions_table

#: Which transactional jobs are completed; written and read by the library.
job_completions = completions_table(Base.metadata)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, read back as one. SQLite gives back what was stored without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, which is what a column without zones then holds."""
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC, or from the zone that the server's session has."""
        return value if value is None else (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


class ApiKey(Base):
    """A key of a principal. The key itself is shown once; only its hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    principal: Mapped[str] = mapped_column(String(64), index=True)
    scopes: Mapped[str] = mapped_column(Text)  # separated by spaces, as in OAuth
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # up to a minute behind: see key_use

    def is_active(self, now: datetime) -> bool:
        """Whether the key works at ``now``, an aware time."""
        return self.revoked_at is None and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Whether the key's time has passed at ``now``, an aware time."""
        return self.expires_at is not None and self.expires_at <= now


class KeyWebhook(Base):
    """Where the ends of jobs are told that were submitted with a key and name no address themselves."""

    __tablename__ = "key_webhooks"

    key_id: Mapped[str] = mapped_column(String(16), ForeignKey("api_keys.id"), primary_key=True)
    url: Mapped[str] = mapped_column(Text)


class UploadedFile(Base):
    """An input file that its owner's jobs may name. The bytes lie in the file store under ``id``."""

    __tablename__ = "uploaded_files"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)  # and while it comes in, when it was last heard of
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)  # None while it comes in
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # its bytes are gone; it is known for a while
