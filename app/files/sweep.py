"""Removing files that nobody can ask for any more. Workers do it, one at a time; doing it twice does no harm."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.extensions import db
from app.files.errors import MissingFileError
from app.files.incoming import STALE
from app.files.job_files import FOLDER, ID_FILE, task_id_of
from app.files.storage import Storage, StoredFile
from app.files.uploads import FOLDER as UPLOADS
from app.files.uploads import Uploads
from app.files.use import uploads_in_use
from app.files.workspace import sweep_workspaces
from app.models import UploadedFile
from libs.flask_celery import kept_files

#: Rows, or folders, of one step.
_STEP = 500

#: Seconds that a file is let be which was begun and not ended. Files that jobs leave give no sign of life meanwhile.
_PARTIAL_STALE = 86_400.0


class FileSweep:
    """The sweep of one application, as the worker's step wants it (``libs.flask_celery.JobFileSweep``).

    Args:
        interval: seconds between two passes.
        work_dir: where this host's jobs make their files.
    """

    def __init__(self, storage: Storage, uploads: Uploads, *, interval: float, work_dir: Path) -> None:
        self._storage, self._uploads = storage, uploads
        self.interval = interval
        self._work_dir = work_dir

    def here(self) -> None:
        """What killed processes have left on this host. Raises: OSError."""
        sweep_workspaces(self._work_dir)

    def run(self) -> Iterator[None]:
        """One pass in steps, in the application's context.

        Raises: StorageUnavailableError, DBAPIError, redis-py's errors; the next pass goes on with what is left.
        """
        yield from self._given_up()
        if self._uploads.rules.expires:
            yield from self._expired()
        yield from self._tombstones()
        yield from self._files_of_jobs()
        # What is unfinished of an upload in S3 goes with its row.
        self._storage.sweep_partials(FOLDER, _PARTIAL_STALE)

    def _given_up(self) -> Iterator[None]:
        """Uploads whose process has given no sign of life. Should it live after all, it finds itself refused."""
        stale = UploadedFile.used_at.is_(None) & (UploadedFile.created_at < _ago(STALE))
        while True:
            with Session(db.engine) as session:
                query = select(UploadedFile.id).where(stale, UploadedFile.removed_at.is_(None)).limit(_STEP)
                ids = session.scalars(query).all()
                session.execute(
                    update(UploadedFile).where(UploadedFile.id.in_(ids), stale).values(removed_at=datetime.now(UTC))
                )
                session.commit()
            if not ids:
                return
            self._delete_uploads(ids)
            yield

    def _expired(self) -> Iterator[None]:
        """Uploads that were not used for long enough; what an unfinished job names counts as used now."""
        cutoff = _ago(self._uploads.rules.expires)
        while True:
            with Session(db.engine) as session:
                rows = session.execute(
                    select(UploadedFile.id, UploadedFile.owner, UploadedFile.used_at)
                    .where(UploadedFile.removed_at.is_(None), UploadedFile.used_at < cutoff)
                    .order_by(UploadedFile.owner)
                    .limit(_STEP)
                ).all()
            if not rows:
                return
            for owner, of_owner in groupby(rows, key=lambda row: row.owner):
                self._delete_uploads(_expire(owner, list(of_owner)))
                yield

    def _tombstones(self) -> Iterator[None]:
        """What is only known as expired, and for as long as the ids of jobs are."""
        forgotten = UploadedFile.removed_at < _ago(_backend().retention)
        while True:
            with Session(db.engine) as session:
                ids = session.scalars(select(UploadedFile.id).where(forgotten).limit(_STEP)).all()
                if not ids:
                    return
                self._delete_uploads(ids)  # again, for a sweep that was cut short
                session.execute(delete(UploadedFile).where(UploadedFile.id.in_(ids)))
                session.commit()
            yield

    def _files_of_jobs(self) -> Iterator[None]:
        """Listed first, then asked for: a job that ends in between has named its files by then."""
        folders = groupby(self._storage.list(FOLDER), key=lambda file: file.key.split("/")[1])
        listed = ((folder, list(files)) for folder, files in folders)
        while some := dict(islice(listed, _STEP)):
            task_ids = {folder: self._task_id(folder) for folder in some}
            known = kept_files(
                current_app.extensions["celery"], [task_id for task_id in task_ids.values() if task_id is not None]
            )
            # A job that Redis does not know is long over, unless Redis has lost its data or is another one.
            unknown_since = _ago((_backend().expires or 0) + _backend().retention)
            for folder, files in some.items():
                task_id = task_ids[folder]
                if task_id in known:
                    kept = known[task_id]
                    removed = [] if kept is None else [file for file in files if file.key not in kept]
                else:
                    removed = files if all(file.modified_at < unknown_since for file in files) else []
                self._delete(files, removed)
            yield

    def _delete(self, files: Sequence[StoredFile], removed: Sequence[StoredFile]) -> None:
        keys = [file.key for file in removed]
        if len(keys) < len(files):  # the folder stays, and what says whose it is
            keys = [key for key in keys if not key.endswith(f"/{ID_FILE}")]
        if keys:
            self._storage.delete(keys)

    def _task_id(self, folder: str) -> str | None:
        task_id = task_id_of(folder)
        if task_id is not None:
            return task_id
        try:
            with self._storage.open(f"{FOLDER}/{folder}/{ID_FILE}") as file:
                return file.read().decode()
        except MissingFileError:
            return None

    def _delete_uploads(self, ids: Sequence[str]) -> None:
        if ids:
            self._storage.delete([f"{UPLOADS}/{file_id}" for file_id in ids])


def _expire(owner: str, rows: Sequence[Any]) -> list[str]:
    """Returns: those that are expired now."""
    used = uploads_in_use(current_app.extensions["celery"], owner, [row.id for row in rows])
    now, expired = datetime.now(UTC), []
    with Session(db.engine) as session:
        for row in rows:
            # Unless it has been used since it was looked at.
            unchanged = update(UploadedFile).where(UploadedFile.id == row.id, UploadedFile.used_at == row.used_at)
            if row.id in used:
                session.execute(unchanged.values(used_at=now))
            elif session.execute(unchanged.values(removed_at=now)).rowcount:  # type: ignore[attr-defined]
                expired.append(row.id)
        session.commit()
    return expired


def _backend() -> Any:
    return current_app.extensions["celery"].backend


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
