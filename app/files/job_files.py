"""The files of jobs: those they read, and those they leave with their result."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from app.files.errors import MissingFileError
from app.files.storage import Storage, StoredFile
from app.files.uploads import Uploads
from app.files.workspace import workspace
from libs.flask_celery import JobFile

FOLDER = "jobs"

#: In the folder of a job whose id is no name for one, the file that holds the id.
ID_FILE = "=task-id"

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

#: File systems take 255 bytes in a name.
_LONGEST_NAME = 200


class JobFiles:
    """What ``current_job`` reads and leaves.

    Each file has a key of its own, ``jobs/<task id>/<token>-<name>``, and is never written again: of two runs of a
    job neither touches what the other has left, and the record says which files are the result's.
    """

    def __init__(self, storage: Storage, uploads: Uploads, work_dir: Path) -> None:
        self._storage = storage
        self._uploads = uploads
        self._work_dir = work_dir

    def workspace(self) -> AbstractContextManager[Path]:
        """A folder for the files a job is making; removed at the end."""
        return workspace(self._work_dir)

    def input_path(self, file_id: str, *, owner: str) -> AbstractContextManager[Path]:
        """An upload as a file of this host. Raises: UnknownUploadError, ExpiredUploadError, MissingFileError."""
        return self._storage.local_copy(self._uploads.use(file_id, owner=owner).key)

    @contextmanager
    def open_input(self, file_id: str, *, owner: str) -> Iterator[BinaryIO]:
        """The same, open. Raises: as above."""
        with self.input_path(file_id, owner=owner) as path, path.open("rb") as file:
            yield file

    def keep(self, task_id: str, name: str, source: Path, content_type: str) -> JobFile:
        """Take over ``source`` as a file of the job.

        Raises: ValueError for a name that is not a plain one; StorageFullError, StorageUnavailableError.
        """
        if not _SAFE_NAME.fullmatch(name):
            raise ValueError(f"A job's file is named with letters, digits, '.', '_' and '-', not {name!r}.")
        folder = folder_of(task_id)
        if folder.startswith("="):
            with self._storage.writer(f"{FOLDER}/{folder}/{ID_FILE}") as writer:
                writer.write(task_id.encode())
                writer.commit()
        key = f"{FOLDER}/{folder}/{secrets.token_hex(8)}-{name}"
        return JobFile(name=name, size=self._storage.put(key, source), content_type=content_type, key=key)

    def find(self, file: JobFile) -> StoredFile:
        """A file that the job's record names. Raises: MissingFileError."""
        found = self._storage.stat(file.key) if file.key else None
        if found is None:
            raise MissingFileError(file.name)
        return found

    def open(self, file: StoredFile) -> BinaryIO:
        """Its bytes. Raises: MissingFileError."""
        return self._storage.open(file.key)


def folder_of(task_id: str) -> str:
    """A job's folder: its id, as far as that can be a name. A task id may be any text a Celery client chose."""
    quoted = quote(task_id, safe="").replace(".", "%2E")
    if quoted and len(quoted) <= _LONGEST_NAME:
        return quoted
    return "=" + hashlib.sha256(task_id.encode()).hexdigest()


def task_id_of(folder: str) -> str | None:
    """The other way round; None when the id stands in :data:`ID_FILE`."""
    return None if folder.startswith("=") else unquote(folder)
