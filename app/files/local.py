"""Files on a disk, below one directory that all processes of an installation see."""

import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import EDQUOT, ENOSPC, EXDEV
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from app.files.errors import FilesError, MissingFileError, StorageFullError, StorageUnavailableError
from app.files.storage import CHUNK, StoredFile, Writer, checked

_PARTIAL = ".partial-"

#: The folder of a file that is about to appear may be removed for being empty, that often in a row.
_ATTEMPTS = 5


class LocalStorage:
    """As :class:`app.files.storage.Storage`. A file is written beside its place, synced and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def writer(self, key: str) -> Writer:
        """Begin a file."""
        with _as_storage_errors():
            return _LocalWriter(self._root, self._path(key))

    def put(self, key: str, source: Path) -> int:
        """Rename when it lies on the same disk, else copy."""
        target = self._path(key)
        with _as_storage_errors():
            with source.open("rb") as file:
                _without_holding_others_up(lambda: os.fsync(file.fileno()))
                size = os.fstat(file.fileno()).st_size
            try:
                _appear(source, target)
            except OSError as error:
                if error.errno != EXDEV:
                    raise
                with source.open("rb") as file, self.writer(key) as writer:
                    while chunk := file.read(CHUNK):
                        writer.write(chunk)
                    writer.commit()
                source.unlink()
        return size

    def stat(self, key: str) -> StoredFile | None:
        """Of a regular file alone."""
        with _as_storage_errors():
            try:
                found = self._path(key).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _stored(key, found) if stat.S_ISREG(found.st_mode) else None

    def open(self, key: str) -> BinaryIO:
        """Not through a symbolic link."""
        with _as_storage_errors():
            try:
                descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise MissingFileError(key) from error
        return os.fdopen(descriptor, "rb")

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The file itself."""
        if self.stat(key) is None:
            raise MissingFileError(key)
        yield self._path(key)

    def delete(self, keys: Sequence[str]) -> None:
        """Folders that are empty then go too."""
        with _as_storage_errors():
            for path in map(self._path, keys):
                path.unlink(missing_ok=True)
                if path.parent.parent != self._root:
                    with suppress(OSError):  # others are in it
                        path.parent.rmdir()

    def list(self, folder: str) -> Iterator[StoredFile]:
        """Files that vanish meanwhile are left out."""
        with _as_storage_errors():
            for parent, folders, names in os.walk(self._root / checked(folder), onerror=_unless_missing):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for path in (Path(parent, name) for name in names if not name.startswith(".")):
                    with suppress(FileNotFoundError):
                        found = path.lstat()
                        if stat.S_ISREG(found.st_mode):
                            yield _stored(path.relative_to(self._root).as_posix(), found)

    def sweep_partials(self, folder: str, older_than: float) -> None:
        """Of every folder. A file that is being written is locked by its writer, on whichever host."""
        with _as_storage_errors():
            for path in self._root.glob(f"{_PARTIAL}*"):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - older_than and _is_abandoned(path):
                        path.unlink()

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


class _LocalWriter(Writer):
    def __init__(self, root: Path, target: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = mkstemp(dir=root, prefix=_PARTIAL)
        self._partial, self._target = Path(name), target
        # Unbuffered: a disk that is full says so to the write that it has no room for, and closing writes nothing.
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        with suppress(OSError):  # a file system without locks; age alone tells then
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with _as_storage_errors():
            while rest:
                rest = rest[self._file.write(rest) :]

    def commit(self) -> None:
        with _as_storage_errors():
            _without_holding_others_up(lambda: os.fsync(self._file.fileno()))
            _appear(self._partial, self._target)
        self._file.close()

    def abort(self) -> None:
        if not self._file.closed:
            self._partial.unlink(missing_ok=True)
            self._file.close()


def _appear(source: Path, target: Path) -> None:
    """Rename, durably: a row or a record is about to name the file (rename(2), fsync(2))."""
    for attempt in range(_ATTEMPTS):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            source.rename(target)
            break
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1 or not source.exists():
                raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        _without_holding_others_up(lambda: os.fsync(folder))
    finally:
        os.close(folder)


def _without_holding_others_up(call: Callable[[], object]) -> None:
    """Syncing a large file takes seconds, in which gevent's other greenlets are to go on."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        from gevent import get_hub  # noqa: PLC0415 - a process without gevent does without it

        get_hub().threadpool.apply(call)
    else:
        call()


def _is_abandoned(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _stored(key: str, found: os.stat_result) -> StoredFile:
    return StoredFile(key, found.st_size, datetime.fromtimestamp(found.st_mtime, tz=UTC))


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    try:
        yield
    except FilesError:
        raise
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise StorageFullError from error
        raise StorageUnavailableError(str(error)) from error
