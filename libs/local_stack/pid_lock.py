"""A lock file that names its holder; the kernel frees it with the last process that has the file open."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class LockHeldError(Exception):
    """Another process holds the lock; `pid` is None where it has not written its number yet."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class PidLock:
    """`flock` on `path`, with the holder's process number as the file's content.

    The file is never removed: a process that opened it just before would lock a file nobody else can see.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock or raises `LockHeldError`; never waits. Programs it starts do not inherit it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError:
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise LockHeldError(pid) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Frees the lock and empties the file, so that nobody takes an old number for a holder's."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None


def _read_pid(descriptor: int) -> int | None:
    content = os.pread(descriptor, 32, 0)
    return int(content) if content.isdigit() else None
