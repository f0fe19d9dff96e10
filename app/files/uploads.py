"""Uploads: input files that their owner's jobs may name. Each has a row in SQL, and the bytes lie in the storage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from uuid import UUID, uuid4

from flask import current_app
from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.orm import Session

from app.extensions import db
from app.files.errors import (
    ExpiredUploadError,
    MissingFileError,
    UnknownUploadError,
    UploadInUseError,
)
from app.files.incoming import IncomingUpload, UploadRules, begin
from app.files.storage import Storage
from app.files.use import uploads_in_use
from app.models import UploadedFile

__all__ = ["IncomingUpload", "Upload", "UploadRules", "Uploads"]

FOLDER = "uploads"

#: The last use of an upload is noted when it is later by this part of the time after which it expires.
_NOTED = 20


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload that is there whole. Times are aware and in UTC; ``size`` in bytes."""

    id: str
    owner: str
    name: str
    content_type: str
    size: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None  # unless it is used before; None for never

    @property
    def key(self) -> str:
        """In the storage."""
        return f"{FOLDER}/{self.id}"


class Uploads:
    """The uploads of one application. To be called in its context; every method raises SQLAlchemy's DBAPIError."""

    def __init__(self, storage: Storage, rules: UploadRules) -> None:
        self._storage = storage
        self.rules = rules

    @contextmanager
    def receive(self, *, owner: str, name: str, content_type: str, length: int | None) -> Iterator[IncomingUpload]:
        """Begin an upload. Left before it is finished, nothing of it stays.

        ``length``: in bytes, where it is known.
        Raises: UploadTooLargeError, QuotaExceededError, UploadTypeError, StorageFullError, StorageUnavailableError;
            so do the methods of what it gives.
        """
        file_id = str(uuid4())
        incoming = begin(self._storage, f"{FOLDER}/{file_id}", self.rules, file_id, owner, name, content_type, length)
        try:
            yield incoming
        finally:
            incoming.abandon()

    def find(self, file_id: str, *, owner: str | None) -> Upload:
        """The owner's upload; anybody's when that is None. Raises: UnknownUploadError, ExpiredUploadError."""
        with Session(db.engine) as session:
            row = session.get(UploadedFile, _checked(file_id))
            if row is None or row.used_at is None or owner not in (None, row.owner):
                raise UnknownUploadError(file_id)
            if row.removed_at is not None:
                raise ExpiredUploadError(file_id)
            return self._upload(row)

    def use(self, file_id: str, *, owner: str) -> Upload:
        """The same for a job that names it: it is kept for another while. Raises: as :meth:`find`."""
        upload = self.find(file_id, owner=owner)
        now = datetime.now(UTC)
        life = timedelta(seconds=self.rules.expires)
        if upload.expires_at is None or upload.expires_at - life > now - life / _NOTED:
            return upload
        with Session(db.engine) as session:
            session.execute(
                update(UploadedFile)
                .where(UploadedFile.id == upload.id, UploadedFile.removed_at.is_(None))
                .values(used_at=now)
            )
            session.commit()
        return self.find(file_id, owner=owner)  # it may have been swept in between

    def page(self, owner: str, *, before: tuple[datetime, str] | None, limit: int) -> Sequence[Upload]:
        """The owner's uploads, newest first, from after this creation time and id."""
        query = (
            select(UploadedFile)
            .where(UploadedFile.owner == owner, UploadedFile.used_at.is_not(None), UploadedFile.removed_at.is_(None))
            .order_by(UploadedFile.created_at.desc(), UploadedFile.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(tuple_(UploadedFile.created_at, UploadedFile.id) < before)
        with Session(db.engine) as session:
            return [self._upload(row) for row in session.scalars(query)]

    def open(self, upload: Upload) -> BinaryIO:
        """Its bytes. Raises: ExpiredUploadError, StorageUnavailableError."""
        try:
            return self._storage.open(upload.key)
        except MissingFileError as error:
            raise ExpiredUploadError(upload.id) from error

    def remove(self, upload: Upload) -> None:
        """At its owner's wish. Raises: UploadInUseError, StorageUnavailableError."""
        users = uploads_in_use(current_app.extensions["celery"], upload.owner, [upload.id])
        if users:
            raise UploadInUseError(users[upload.id])
        with Session(db.engine) as session:
            # Nobody gets it any more before its bytes go; what is cut short here is the sweep's.
            session.execute(
                update(UploadedFile).where(UploadedFile.id == upload.id).values(removed_at=datetime.now(UTC))
            )
            session.commit()
            self._storage.delete([upload.key])
            session.execute(delete(UploadedFile).where(UploadedFile.id == upload.id))
            session.commit()

    def _upload(self, row: UploadedFile) -> Upload:
        assert row.used_at is not None
        expires = self.rules.expires
        return Upload(
            id=row.id,
            owner=row.owner,
            name=row.name,
            content_type=row.content_type,
            size=row.size,
            sha256=row.sha256,
            created_at=row.created_at,
            expires_at=row.used_at + timedelta(seconds=expires) if expires else None,
        )


def _checked(file_id: str) -> str:
    try:
        return str(UUID(file_id))
    except ValueError as error:
        raise UnknownUploadError(file_id) from error
