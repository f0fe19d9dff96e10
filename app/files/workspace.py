"""Folders in which files are made, on this host, for as long as they are used."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

_PREFIX = ".work-"

#: Seconds after which a folder that nobody has locked is abandoned, and not about to be locked.
_GRACE = 60.0


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A folder of its own, removed at the end. While it is used it is locked, which a killed process cannot stay."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(dir=parent, prefix=_PREFIX) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(lock)


def sweep_workspaces(parent: Path, *, grace: float = _GRACE) -> None:
    """Remove what killed processes have left. Raises: OSError."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - grace and _is_abandoned(folder):
                shutil.rmtree(folder)


def _is_abandoned(folder: Path) -> bool:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
