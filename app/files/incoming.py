"""An upload on its way in: counted, hashed and checked as it comes, a piece in memory at a time."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.extensions import db
from app.files.errors import FilesError, QuotaExceededError, StorageUnavailableError, UploadTooLargeError
from app.files.media_types import HEAD, check_content, check_told, told_type
from app.files.storage import Storage
from app.models import UploadedFile

logger = logging.getLogger(__name__)

#: Seconds between two signs of life of an upload on its way, and without one after which it is taken for dead.
_SIGN_INTERVAL = 60.0
STALE = 600.0


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What uploads may be. Sizes in bytes, time in seconds; 0 for no limit, no type for every type."""

    max_size: int
    quota: int = 0  # of one owner's uploads together
    types: Sequence[str] = ()  # media types, ``image/*`` for all images
    expires: int = 0  # after its last use


class IncomingUpload:
    """Made by :func:`begin`. Its row exists from the beginning: what a killed process leaves is found by it."""

    def __init__(self, storage: Storage, key: str, row: UploadedFile, rules: UploadRules, limit: int) -> None:
        self._storage, self._key, self._rules, self._limit = storage, key, rules, limit
        self.id, self._owner, self._told = row.id, row.owner, told_type(row.content_type, row.name)
        self._writer = storage.writer(key)
        self._digest = hashlib.sha256()
        self._head: bytes | None = b""
        self._sign_due = time.monotonic() + _SIGN_INTERVAL
        self._is_finished = False
        self.size = 0

    def write(self, data: bytes) -> int:
        """Add bytes. Raises: as ``Uploads.receive``."""
        self.size += len(data)
        if self.size > self._limit:
            raise self._refusal()
        if self._head is not None:
            self._head += data[: HEAD - len(self._head)]
            if len(self._head) == HEAD:
                self._check_content()
        self._digest.update(data)
        self._writer.write(data)
        if time.monotonic() >= self._sign_due:
            self._give_sign()
        return len(data)

    def finish(self) -> str:
        """Make it an upload that its owner's jobs can name. Returns: its id. Raises: as ``Uploads.receive``."""
        self._check_content()
        self._writer.commit()
        now = datetime.now(UTC)
        with Session(db.engine) as session:
            finished = session.execute(
                update(UploadedFile)
                .where(UploadedFile.id == self.id, UploadedFile.used_at.is_(None), UploadedFile.removed_at.is_(None))
                .values(size=self.size, sha256=self._digest.hexdigest(), created_at=now, used_at=now)
            )
            if not finished.rowcount:  # type: ignore[attr-defined]
                raise StorageUnavailableError("The upload gave no sign of life for too long and was given up.")
            if self._rules.quota and _used(session, self._owner) > self._rules.quota:
                raise QuotaExceededError(self._rules.quota)
            session.commit()
        self._is_finished = True
        return self.id

    def abandon(self) -> None:
        """Leave nothing, unless it is finished."""
        if self._is_finished:
            return
        self._is_finished = True
        try:
            self._writer.abort()
            self._storage.delete([self._key])
            _forget(self.id)
        except (FilesError, SQLAlchemyError) as error:
            logger.warning("What has come of upload %s stays until it is swept: %r", self.id, error)

    def _check_content(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            check_content(head, self._told, self._rules.types)

    def _give_sign(self) -> None:
        self._sign_due = time.monotonic() + _SIGN_INTERVAL
        try:
            with Session(db.engine) as session:
                session.execute(
                    update(UploadedFile).where(UploadedFile.id == self.id).values(created_at=datetime.now(UTC))
                )
                session.commit()
        except SQLAlchemyError as error:
            logger.warning("Upload %s could not give a sign of life: %r", self.id, error)

    def _refusal(self) -> FilesError:
        if self.size > self._rules.max_size:
            return UploadTooLargeError(self._rules.max_size)
        return QuotaExceededError(self._rules.quota)


def begin(
    storage: Storage,
    key: str,
    rules: UploadRules,
    file_id: str,
    owner: str,
    name: str,
    content_type: str,
    length: int | None,
) -> IncomingUpload:
    """Take an upload on. Raises: as ``Uploads.receive``."""
    check_told(content_type, name, rules.types)
    if length is not None and length > rules.max_size:
        raise UploadTooLargeError(rules.max_size)
    row = UploadedFile(
        id=file_id,
        owner=owner,
        name=name,
        content_type=content_type,
        size=length or 0,  # reserved, so that several at a time do not exceed the quota together
        sha256="",
        created_at=datetime.now(UTC),
        used_at=None,
        removed_at=None,
    )
    with Session(db.engine, expire_on_commit=False) as session:
        session.add(row)
        session.commit()
        left = rules.quota - _used(session, owner) + row.size if rules.quota else rules.max_size
    try:
        if rules.quota and (left <= 0 or row.size > left):
            raise QuotaExceededError(rules.quota)
        return IncomingUpload(storage, key, row, rules, min(left, rules.max_size))
    except FilesError:
        _forget(file_id)
        raise


def _used(session: Session, owner: str) -> int:
    """Bytes of what the owner has, and of what is announced."""
    total = select(func.sum(UploadedFile.size)).where(UploadedFile.owner == owner, UploadedFile.removed_at.is_(None))
    return int(session.scalar(total) or 0)


def _forget(file_id: str) -> None:
    with Session(db.engine) as session:
        session.execute(delete(UploadedFile).where(UploadedFile.id == file_id))
        session.commit()
