"""One `manage.py up` for one data dir."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from libs.local_stack.errors import DataDirInUseError
from libs.local_stack.pid_lock import LockHeldError, PidLock


class DataDirLock:
    """Holds `data_dir/up.lock` inside a `with` block, and makes `data_dir` (mode 0700) where it is missing.

    The lock ends with the process, however it ends, and is not inherited by the programs it starts.
    Raises `DataDirInUseError` on entry while another process holds it.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._lock = PidLock(data_dir / "up.lock")

    def __enter__(self) -> DataDirLock:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except LockHeldError as held:
            raise DataDirInUseError(self.data_dir, held.pid) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
