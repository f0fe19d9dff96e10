"""Files on disk: inputs that clients upload, outputs that jobs leave. A client never names a path, only an id."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.models import UploadedFile
from libs.flask_celery import JobFile

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class UploadTooLargeError(ValueError):
    """More bytes came than an upload may have; ``limit`` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"An upload may have {limit} bytes.")
        self.limit = limit


class FileStore:
    """Uploads and job files below one directory.

    ``uploads/<file id>`` and ``jobs/<digest of the task id>/<name>``; each file appears whole or not at all, by
    rename.
    """

    def __init__(self, root: Path, *, max_upload: int) -> None:
        self._uploads = root / "uploads"
        self._jobs = root / "jobs"
        self._max_upload = max_upload

    def save_upload(
        self, session: Session, chunks: Iterable[bytes], *, owner: str, name: str, content_type: str
    ) -> UploadedFile:
        """Store an upload, chunk by chunk, and add its row. The caller commits.

        Raises: UploadTooLargeError, leaving nothing.
        """
        file_id, digest, size = str(uuid4()), hashlib.sha256(), 0
        with self._written_whole(self._uploads / file_id) as target:
            for chunk in chunks:
                size += len(chunk)
                if size > self._max_upload:
                    raise UploadTooLargeError(self._max_upload)
                digest.update(chunk)
                target.write(chunk)
        upload = UploadedFile(
            id=file_id,
            owner=owner,
            name=name,
            content_type=content_type,
            size=size,
            sha256=digest.hexdigest(),
            created_at=datetime.now(UTC),
        )
        session.add(upload)
        return upload

    def discard_upload(self, file_id: str) -> None:
        """Remove the bytes of an upload whose row could not be stored."""
        self.upload_path(file_id).unlink(missing_ok=True)

    def find_upload(self, session: Session, file_id: str, *, owner: str) -> UploadedFile | None:
        """The owner's upload of this id, or None; another owner's is None too."""
        row = session.get(UploadedFile, file_id)
        return row if row is not None and row.owner == owner else None

    def upload_path(self, file_id: str) -> Path:
        """Where the bytes of an upload are. Raises: ValueError for what is not a file id."""
        return self._uploads / str(UUID(file_id))

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A directory for the files a job is making, on the disk where they will stay; removed at the end."""
        self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryDirectory(dir=self._jobs, prefix=".work-") as folder:
            yield Path(folder)

    def keep(self, task_id: str, name: str, source: Path, content_type: str) -> JobFile:
        """Take over ``source`` as a file of the job. Raises: ValueError for a name that is not a plain one."""
        if not _SAFE_NAME.fullmatch(name):
            raise ValueError(f"A job's file is named with letters, digits, '.', '_' and '-', not {name!r}.")
        folder = self._folder(task_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = folder / name
        shutil.move(source, target)
        return JobFile(name=name, size=target.stat().st_size, content_type=content_type)

    def job_file_path(self, task_id: str, file: JobFile) -> Path:
        """Where a file is that the job's record names. The name comes from the record, never from a client."""
        return self._folder(task_id) / file.name

    def _folder(self, task_id: str) -> Path:
        # A task id may be any text a Celery client chose, so it does not become a path itself.
        return self._jobs / hashlib.sha256(task_id.encode()).hexdigest()[:32]

    @contextmanager
    def _written_whole(self, target: Path) -> Iterator[IO[bytes]]:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(dir=target.parent, prefix=".partial-", delete=False) as partial:
            try:
                yield partial
                partial.flush()
                os.fsync(partial.fileno())
                Path(partial.name).rename(target)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        # The row refers to the file, so the name must be as durable as the row (rename(2), fsync(2)).
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
