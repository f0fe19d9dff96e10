"""Where bytes are kept: on a disk that all processes share, or in S3. Keys are ours; a client never names one."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

#: Segments that begin with no dot: none leaves the storage, and none is one of its unfinished files.
_SEGMENT = r"[A-Za-z0-9=@%_~-][A-Za-z0-9=@%_.~-]*"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")

#: Bytes that are read, or written, at a time.
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as it lies there, whole. ``size`` in bytes; ``modified_at`` is aware."""

    key: str
    size: int
    modified_at: datetime


class Writer:
    """A file on its way. Left without :meth:`commit`, nothing of it stays. Raises: as :class:`Storage`."""

    def write(self, data: bytes) -> None:
        """Add bytes."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make it appear under its key, whole and durable."""
        raise NotImplementedError

    def abort(self) -> None:
        """Leave nothing; after :meth:`commit`, do nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()


class Storage(Protocol):
    """Every method raises StorageUnavailableError, and those that write StorageFullError."""

    def writer(self, key: str) -> Writer:
        """Begin a file. What has the key stays as it is until the commit."""

    def put(self, key: str, source: Path) -> int:
        """Take over the file at ``source``, which may then be gone. Returns: its size."""

    def stat(self, key: str) -> StoredFile | None:
        """What is there, or None."""

    def open(self, key: str) -> BinaryIO:
        """Its bytes: ``read``, ``seek`` and ``close``, a piece in memory at a time. Raises: MissingFileError."""

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """A path to read it from, which is not to be written to. Raises: MissingFileError."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files, and what is unfinished under their keys. Those that are not there are none."""

    def list(self, folder: str) -> Iterator[StoredFile]:
        """Every file below the folder; those of one folder one after the other."""

    def sweep_partials(self, folder: str, older_than: float) -> None:
        """Remove what was begun in the folder more than so many seconds ago by a process that is gone."""


def checked(key: str) -> str:
    """The key itself. Raises: ValueError for what is none, before it becomes a path."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key of a file.")
    return key
