"""What the jobs did, told by themselves in a file, which outlives every process that is killed.

A line is written with one ``write`` to a descriptor opened for appending, so lines of several processes never mix,
and it is in the file before the job goes on.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: The environment variable that names the file.
JOURNAL = "CHAOS_JOURNAL"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one run of a job. Times are Unix seconds of the one machine that all run on."""

    event: str  # "start"; then "end" when the body has done all it does, or "raise" when it leaves by an exception
    task_id: str
    number: int
    run: str
    pid: int
    parent: int
    attempt: int
    transactional: bool
    at: float


def write(event: str, task_id: str, *, number: int, run: str, attempt: int, transactional: bool) -> None:
    """Append one entry of this process."""
    entry = (event, task_id, number, run, os.getpid(), os.getppid(), attempt, transactional, time.time())
    os.write(_descriptor(os.getpid()), json.dumps(entry).encode() + b"\n")


def read(path: Path) -> Iterator[Entry]:
    """Every entry, in the order they were written."""
    with path.open() as lines:
        for line in lines:
            yield Entry(*json.loads(line))


@functools.cache
def _descriptor(_: int) -> int:
    return os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
