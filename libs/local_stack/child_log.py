"""The file a child writes to: appended to, bounded at each start, read for its last lines."""

from __future__ import annotations

import os
from pathlib import Path

ROTATE_ABOVE = 10 * 1024 * 1024
"""Bytes; a longer file is moved to `<name>.1` when the child is started, in place of the one before."""

TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024


class ChildLog:
    """The log at `path`: `open()` it for each start; `tail()` shows only what was written since then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> int:
        """Returns a descriptor to append with, which the caller closes. Makes the folder if it is missing."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > ROTATE_ABOVE:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._start = os.fstat(descriptor).st_size
        return descriptor

    def tail(self) -> str:
        """Returns the last `TAIL_LINES` lines since the last `open()`, or "" where there is no log."""
        try:
            with self.path.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._start, end - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])
